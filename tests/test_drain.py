"""How `nabra serve` ends, as a process: speech is heard to its end, and no signal is lost."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError

from bench.harness import TimedTurn, ToneAudio
from tests.gateway import Caller, Event, calling
from tests.processes import children, command_line, is_running
from tests.test_serve import address, environment, serving
from tests.waiting import until

SESSIONS = 20

COMMAND = (sys.executable, "-m", "app", "serve")

IN_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's /proc")


async def test_all_who_speak_are_heard_to_the_end_before_the_process_ends(tmp_path: Path) -> None:
    settings = {"SIMULATOR_PROFILE": "fast", "DRAIN_S": "60"}
    async with AsyncExitStack() as stack:
        process, banner = await stack.enter_async_context(serving(tmp_path, **settings))
        url = address(banner)
        endpoint = url.replace("http", "ws") + "/ws/agent/"
        callers = [await stack.enter_async_context(calling(endpoint)) for _ in range(SESSIONS)]
        for caller in callers:
            await caller.send({"type": "text", "text": "أين شحنتي؟"})
        begun = [await caller.until("status") for caller in callers]
        process.terminate()
        async with httpx.AsyncClient() as client, asyncio.timeout(30):
            while (ready := await client.get(f"{url}/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
            assert ready.json()["reason"] == "draining"
            assert (await client.get(f"{url}/healthz")).status_code == 200
        async with asyncio.timeout(50):
            endings = await asyncio.gather(*map(hear_to_the_end, callers))
            _, errors = await process.communicate()
        for events, ending in zip(begun, endings, strict=True):
            turn = TimedTurn([(0.0, event) for event in events + ending])
            assert set(turn.verdicts(ToneAudio())) == {"whole"}
            *_, last = ending
            assert (last["type"], last.get("code")) == ("status", "server-restarting")
    assert process.returncode == 0
    assert b"Traceback" not in errors


async def hear_to_the_end(caller: Caller) -> list[Event]:
    events = []
    with pytest.raises(ConnectionClosedError) as closed:
        while True:
            events.append(await caller.next())
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    return events


def handles_sigterm(pid: int) -> bool:
    """Tell whether a process has a handler of SIGTERM."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def imports(pid: int) -> bool:
    """Tell whether it is in the middle of its imports."""
    return "pydantic_core" in Path(f"/proc/{pid}/maps").read_text()


def has_simulator(pid: int) -> bool:
    """Tell whether it has started the simulator, which does not listen yet."""
    return any("app.simulator" in command_line(child) for child in children(pid))


@asynccontextmanager
async def starting(cwd: Path, *prefix: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Begin to start a gateway; end it however the test ends."""
    process = await asyncio.create_subprocess_exec(
        *prefix,
        *COMMAND,
        cwd=cwd,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@needs_proc
@pytest.mark.parametrize("moment", [handles_sigterm, imports, has_simulator])
async def test_a_signal_during_the_start_ends_it_and_leaves_nothing_behind(
    tmp_path: Path, moment: Callable[[int], bool]
) -> None:
    async with starting(tmp_path) as process:
        await until(lambda: moment(process.pid), state=moment, timeout_s=30)
        left = children(process.pid)
        process.terminate()
        async with asyncio.timeout(20):  # a guard; 2 s is what an idle machine takes at most
            _, errors = await process.communicate()
        await until(lambda: not any(map(is_running, left)), state=left, timeout_s=20)
    assert process.returncode == 0
    assert [line for line in errors.splitlines() if b" starting " not in line] == []


@needs_proc
async def test_as_the_first_process_of_a_container_it_gets_the_signal(tmp_path: Path) -> None:
    """The kernel drops a signal to process 1 that has no handler for it."""
    check_namespaces()
    async with starting(tmp_path, *IN_NAMESPACE) as process:
        await until(lambda: bool(children(process.pid)), timeout_s=30)
        (first,) = children(process.pid)
        await until(lambda: handles_sigterm(first), timeout_s=30)
        os.kill(first, signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.communicate()
    assert process.returncode == 0, "unshare passes on the code of the process"


def check_namespaces() -> None:
    """Skip where this user may not make a namespace of processes."""
    if shutil.which("unshare") is None:
        pytest.skip("needs the command unshare")
    made = subprocess.run([*IN_NAMESPACE, "true"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this user may not make a namespace of processes")


def test_the_handler_is_in_place_before_anything_slow_is_imported() -> None:
    program = (
        "import signal, sys; before = set(sys.modules); sys.argv = ['nabra', 'serve']\n"
        "import app.__main__ as entry\n"
        "sys.modules['app.cli'] = type(sys)('app.cli')\n"
        "sys.modules['app.cli'].main = lambda: print(\n"
        "    signal.getsignal(signal.SIGTERM).__name__, *sorted(set(sys.modules) - before))\n"
        "entry.main()"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert printed[0] == "exit_at_once"
    ours = {name for name in printed[1:] if name.startswith("app")}
    assert ours == {"app", "app.__main__", "app.cli", "app.serving", "app.serving.stop_signals"}
    assert len(printed) < 12, "what Python itself needs for this"
