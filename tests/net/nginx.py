"""A real nginx in front of a server that speaks HTTP/1.1; by default it speaks HTTP/2."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

EXECUTABLE = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
MISSING = (
    "there is no nginx: HTTP/2 connections that one closes, and deploy/nginx.conf, are untested"
)

CONFIG = """\
daemon off;
worker_processes 1;
error_log stderr error;
pid {directory}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{http}
}}
"""

LIMITED = """\
keepalive_requests {requests};
location / {{
    proxy_pass {upstream};
    proxy_http_version 1.1;
    proxy_buffering off;
}}
"""


@asynccontextmanager
async def nginx(directory: Path, upstream: str, *, requests: int) -> AsyncIterator[str]:
    """Run it on a free port; it takes so many requests on each connection. Gives its URL."""
    limited = LIMITED.format(upstream=upstream, requests=requests)
    async with nginx_of(directory, limited, options=" http2") as url:
        yield url


@asynccontextmanager
async def nginx_of(directory: Path, locations: str, *, options: str = "") -> AsyncIterator[str]:
    """Run one that serves these locations. Gives its URL."""

    def http(address: str) -> str:
        return f"server {{ listen {address}{options};\n{locations} }}"

    async with running_nginx(directory, http) as address:
        yield f"http://{address}"


@asynccontextmanager
async def running_nginx(directory: Path, http: Callable[[str], str]) -> AsyncIterator[str]:
    """Run it on a free port, with what `http` returns for its address. Gives the address."""
    assert EXECUTABLE is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        config = directory / "nginx.conf"
        config.write_text(CONFIG.format(directory=directory, http=http(address)))
        listener.set_inheritable(True)
        process = await asyncio.create_subprocess_exec(
            *(EXECUTABLE, "-c", str(config), "-e", "stderr"),
            env={"NGINX": f"{listener.fileno()};"},  # it takes the socket over: no port is lost
            pass_fds=[listener.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )
    try:
        yield address
    finally:
        if process.returncode is None:
            process.terminate()
        _, stderr = await process.communicate()
        print(stderr.decode())
