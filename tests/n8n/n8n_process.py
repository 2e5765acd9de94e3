"""A real n8n on loopback, with the example workflows and a stub for the model."""

import asyncio
import json
import os
import socket
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path

from tests.n8n.installation import Installation

EXAMPLES = Path(__file__).parents[2] / "examples" / "n8n"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
CREDENTIAL = {"openAiApi": {"id": "nabraModelStub01", "name": "Model stub"}}


class N8nProcess:
    """Starts and stops n8n on one port, over one folder of data."""

    def __init__(self, installation: Installation, folder: Path, model_url: str) -> None:
        self._installation = installation
        self._folder = folder
        self._model_url = model_url
        self._log_path = folder / "n8n.log"
        self._log_path.touch()
        self.port = free_port()
        self._broker_port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def executions(self) -> int:
        """How many executions have begun so far."""
        path = self._folder / ".n8n" / "database.sqlite"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            (count,) = database.execute("select count(*) from execution_entity").fetchone()
        return int(count)

    def webhook_url(self, path: str) -> str:
        """Return the production address of a workflow."""
        return f"http://127.0.0.1:{self.port}/webhook/{path}"

    async def import_examples(self) -> None:
        """Import the credential of the stub, and publish every example."""
        data = {"apiKey": "stub", "url": self._model_url}
        credential: dict[str, object] = {"type": "openAiApi", "data": data}
        credential |= CREDENTIAL["openAiApi"]
        await self._import("credentials", [credential])
        workflows = [
            with_credential(json.loads(path.read_text(encoding="utf-8")), f"nabraExample{n:04}")
            for n, path in enumerate(sorted(EXAMPLES.glob("*.json")))
        ]
        await self._import("workflow", workflows)
        for workflow in workflows:
            await self._run("publish:workflow", f"--id={workflow['id']}")

    async def start(self, *, waits: bool = True) -> None:
        """Start n8n; wait until its webhooks are registered, or not at all."""
        log = self._log_path.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            self._installation.node,
            self._installation.n8n,
            "start",
            env=self._environment(),
            stdout=log,
            stderr=log,
        )
        log.close()
        if waits:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await asyncio.to_thread(self._is_ready):
                    assert self._process.returncode is None, self.log()
                    await asyncio.sleep(0.2)

    async def stop(self) -> None:
        """Stop n8n, by force where it does not end by itself."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def log(self) -> str:
        """Return the end of n8n's own log."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")[-4000:]

    def _is_ready(self) -> bool:
        """Return whether the workflows are registered: n8n asks for a POST then."""
        try:
            urllib.request.urlopen(self.webhook_url("nabra-json"), timeout=5)
        except urllib.error.HTTPError as error:
            return "POST" in error.read().decode()
        except OSError:
            return False
        return False

    async def _import(self, kind: str, values: list[dict[str, object]]) -> None:
        path = self._folder / f"{kind}.json"
        path.write_text(json.dumps(values), encoding="utf-8")
        await self._run(f"import:{kind}", f"--input={path}")

    async def _run(self, *command: str) -> None:
        """Run a command of n8n to its end."""
        process = await asyncio.create_subprocess_exec(
            self._installation.node,
            self._installation.n8n,
            *command,
            env=self._environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()

    def _environment(self) -> dict[str, str]:
        """Return an environment in which n8n reaches nobody outside of this machine."""
        off = (
            "N8N_DIAGNOSTICS_ENABLED", "N8N_VERSION_NOTIFICATIONS_ENABLED", "N8N_TEMPLATES_ENABLED",
            "N8N_HIRING_BANNER_ENABLED", "N8N_PERSONALIZATION_ENABLED",
            "N8N_COMMUNITY_PACKAGES_ENABLED", "N8N_LICENSE_AUTO_RENEW_ENABLED",
        )  # fmt: skip
        return {
            "PATH": f"{self._installation.node.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self._folder),
            "N8N_USER_FOLDER": str(self._folder),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_PORT": str(self.port),
            "N8N_RUNNERS_BROKER_PORT": str(self._broker_port),
            "N8N_ENCRYPTION_KEY": "of-the-test",
            "EXECUTIONS_DATA_SAVE_ON_SUCCESS": "all",
            "GENERIC_TIMEZONE": "UTC",
            **dict.fromkeys(off, "false"),
        }


def with_credential(workflow: dict[str, object], id: str) -> dict[str, object]:
    """Return a workflow as the editor would save it, its models with a credential."""
    nodes = workflow["nodes"]
    assert isinstance(nodes, list)
    for node in nodes:
        if node["type"].endswith(".lmChatOpenAi"):
            node["credentials"] = CREDENTIAL
    return {**workflow, "id": id}


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
