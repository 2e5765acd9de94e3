"""Run the example workflows in a real n8n behind a gateway, and report what came (`make test-n8n`).

Needs npm, 2 GB of disk and, the first time, a package registry. Touches nothing but the cache
folder and a temporary one; n8n and the stub of the model listen on loopback.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.simulator import Simulator
from app.telemetry import logs
from tests.gateway import Caller, Event, calling, instant_simulator, running_gateway, settings_for
from tests.n8n.installation import N8N_VERSION, install
from tests.n8n.model_stub import HEARD, UNHEARD, ModelStub, answer_to
from tests.n8n.n8n_process import N8nProcess

NABRA = (sys.executable, "-m", "app")
OWN_TEXTS = ("starting up", "not registered", "Workflow was started", "Error in workflow")

WORKFLOWS: dict[str, dict[str, Any]] = {
    "nabra-memory": {},
    "nabra-history": {"agent_history": True},
    "nabra-tools": {"agent_node": ("Filler", "Agent")},
    "nabra-json": {},
}
"""The paths of the examples, and the settings that their workflows need."""


def say(text: str) -> None:
    print(text, flush=True)


class Bench:
    """A running n8n, a stub of the model, and gateways in front of them."""

    def __init__(self, n8n: N8nProcess, model: ModelStub, simulator: Simulator) -> None:
        self.n8n = n8n
        self.model = model
        self._simulator = simulator

    @asynccontextmanager
    async def gateway(self, path: str, **settings: Any) -> AsyncIterator[str]:
        """Run a gateway before a workflow; yield its address."""
        chosen = settings_for(
            self._simulator,
            agent_webhook_url=self.n8n.webhook_url(path),
            **{"agent_retry_s": 60.0, "agent_first_token_timeout_s": 90.0},
            **WORKFLOWS[path],
            **settings,
        )
        async with running_gateway(chosen) as url:
            yield url


async def take_turn(caller: Caller, text: str) -> list[Event]:
    await caller.send({"type": "text", "text": text})
    return await caller.until("done")


def response_of(events: list[Event]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "agent_response")


def check_whole(events: list[Event], question: str) -> None:
    errors = [event for event in events if event["type"] == "error"]
    assert not errors, errors
    response = " ".join(response_of(events).split())
    assert response.endswith(answer_to(question)), response


async def check_talk(bench: Bench) -> None:
    """Run each example by `nabra talk`."""
    for path in WORKFLOWS:
        before = bench.n8n.executions
        async with bench.gateway(path) as url:
            process = await asyncio.create_subprocess_exec(
                *NABRA, "talk", "--url", url, "--text", "كم ستة في سبعة؟",
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            output, _ = await process.communicate()
        text = output.decode()
        say(f"--- nabra talk, {path}\n{text.strip()}")
        assert process.returncode == 0
        assert UNHEARD in text.replace("\n", " ")
        assert bench.n8n.executions == before + 1
    say("each example: one turn, one execution")


async def check_barge_in(bench: Bench) -> None:
    """Interrupt an answer, ask again, and look at what the model is sent."""
    for path in ("nabra-memory", "nabra-history"):
        bench.model.token_s = 0.1
        async with bench.gateway(path) as url, calling(f"{url}barge-{path}") as caller:
            await caller.send({"type": "text", "text": "السؤال الأول"})
            await caller.until("tts_chunk")
            await caller.send({"type": "playback", "turn": 1, "played_ms": 1_000_000})
            await caller.send({"type": "interrupt"})
            heard = (await caller.until("interrupted"))[-1]["heard_text"]
            bench.model.token_s = 0.005
            check_whole(await take_turn(caller, "السؤال الثاني"), "السؤال الثاني")
            sent = bench.model.requests[-1]
        say(f"--- barge-in, {path}: heard {heard!r}; the model was sent")
        for message in sent:
            say(f"  {message['role']}: {' '.join(str(message['content']).split())[-400:]}")
        system = str(sent[0]["content"])
        assert heard == HEARD
        assert f"heard only this of it: “{HEARD}”" in system
        assert "السؤال الأول" in system
        if path == "nabra-history":
            assert f"assistant: {HEARD}" in system
            assert UNHEARD not in str(sent), "the model believes that all was heard"


async def check_count(bench: Bench) -> None:
    """Take 100 turns in sequence, and 5 in each of 20 sessions at once."""
    before, began_at = bench.n8n.executions, time.monotonic()
    async with bench.gateway("nabra-memory") as url:
        async with calling(f"{url}hundred") as caller:
            for number in range(100):
                check_whole(await take_turn(caller, f"سؤال {number}"), f"سؤال {number}")
        sequence = bench.n8n.executions - before

        async def session(name: str) -> None:
            async with calling(f"{url}{name}") as caller:
                for number in range(5):
                    question = f"سؤال {name} {number}"
                    check_whole(await take_turn(caller, question), question)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(session(f"many-{number}"))
    total = bench.n8n.executions - before
    seconds = time.monotonic() - began_at
    say(f"100 turns in sequence: {sequence} executions; 20 sessions of 5 turns: {total - sequence}")
    say(f"all 200 answers whole, in {seconds:.0f} s")
    assert (sequence, total) == (100, 200)


async def check_restart(bench: Bench) -> None:
    """Restart n8n in mid-conversation: at most the turn that ran is lost."""
    async with bench.gateway("nabra-memory") as url, calling(f"{url}restart") as caller:
        check_whole(await take_turn(caller, "قبل"), "قبل")
        bench.model.token_s = 0.5
        await caller.send({"type": "text", "text": "أثناء"})
        await caller.until("token")
        stopping = asyncio.create_task(bench.n8n.stop())
        during = await caller.until("done")
        bench.model.token_s = 0.005
        await stopping
        before, began_at = bench.n8n.executions, time.monotonic()
        await bench.n8n.start(waits=False)
        after = await take_turn(caller, "بعد")
        waited_s = time.monotonic() - began_at
        check_whole(after, "بعد")
        check_whole(await take_turn(caller, "أخيراً"), "أخيراً")
        executions = bench.n8n.executions - before
    codes = [event["code"] for event in during if event["type"] == "error"]
    texts = [event["text"] for event in (*during, *after) if event["type"] == "sentence"]
    say(f"restart: the turn that ran ended with {codes or 'done'}; heard {texts}")
    say(
        f"the next turn was answered {waited_s:.1f} s after the start; "
        f"2 turns, {executions} executions"
    )
    assert executions == 2
    assert not any(own in text for own in OWN_TEXTS for text in texts)


CHECKS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    check_talk, check_barge_in, check_count, check_restart,
)  # fmt: skip


async def main() -> None:
    """Install n8n where it is missing, and make all checks."""
    logs.configure("error", "console")
    installation = install()
    say(f"n8n {N8N_VERSION}, on {installation.node}")
    with tempfile.TemporaryDirectory(prefix="nabra-n8n-") as folder, ModelStub() as model:
        n8n = N8nProcess(installation, Path(folder), model.url)
        try:
            await n8n.import_examples()
            await n8n.start()
            async with instant_simulator() as simulator:
                for check in CHECKS:
                    say(f"=== {check.__doc__}")
                    await check(Bench(n8n, model, simulator))
        except BaseException:
            say(n8n.log())
            raise
        finally:
            await n8n.stop()
    say("n8n: all checks passed")


asyncio.run(main())
