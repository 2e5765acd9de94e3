"""The proxies of `deploy/`, run for real: their files with other ports, names and certificates."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.net import nginx
from tests.waiting import until

DEPLOY = Path(__file__).parents[2] / "deploy"

EXECUTABLES = {"nginx": nginx.EXECUTABLE, "caddy": shutil.which("caddy")}

PLACES = ("127.0.0.1:8000", "127.0.0.1:8001")
"""Where the files look for gateways."""


def changed(name: str, changes: dict[str, str]) -> str:
    """Return a file of `deploy/` with these changes, each of which must apply."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{name}: {old}"
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def proxy(
    kind: str, directory: Path, gateways: Sequence[str], certificate: Path
) -> AsyncIterator[str]:
    """Run a proxy in front of two addresses; give the URL without a path."""
    run = _nginx if kind == "nginx" else _caddy
    async with run(directory, dict(zip(PLACES, gateways, strict=True)), certificate) as address:
        yield f"https://{address}"


@asynccontextmanager
async def _nginx(
    directory: Path, gateways: dict[str, str], certificate: Path
) -> AsyncIterator[str]:
    def http(address: str) -> str:
        return changed(
            "nginx.conf",
            {
                **gateways,
                "listen 443 ssl": f"listen {address} ssl",
                "/etc/nginx/nabra.crt": f"{certificate}.crt",
                "/etc/nginx/nabra.key": str(certificate),
                "/var/log/nginx/nabra.log": str(directory / "access.log"),
            },
        )

    async with nginx.running_nginx(directory, http) as address:
        yield address


@asynccontextmanager
async def _caddy(
    directory: Path, gateways: dict[str, str], certificate: Path
) -> AsyncIterator[str]:
    executable = EXECUTABLES["caddy"]
    assert executable is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    file = directory / "Caddyfile"
    changes = {
        **gateways,
        "{\n\t# A token": "{\n\tadmin off\n\tauto_https disable_redirects\n\t# A token",
        "voice.example.com {\n": f"https://{address} {{\n\ttls {certificate}.crt {certificate}\n",
    }
    file.write_text(changed("Caddyfile", changes))
    process = await asyncio.create_subprocess_exec(
        *(executable, "run", "--adapter", "caddyfile", "--config", str(file)),
        env={**os.environ, "HOME": str(directory), "XDG_DATA_HOME": str(directory)},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until(lambda: process.returncode is not None or _listens(address))
        yield address
    finally:
        if process.returncode is None:
            process.terminate()
        _, stderr = await process.communicate()
        print(stderr.decode())


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probing:
        return probing.connect_ex((host, int(port))) == 0
