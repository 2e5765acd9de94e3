"""A real n8n, installed once from npm into a cache folder outside the repository."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

N8N_VERSION = "2.41.1"
"""The version whose bodies `n8n_cases.py` holds."""

BEFORE = "2026-09-25"
"""No package later than this date is taken, so that each installation is the same."""

NODE_MAJOR = 24
"""What this n8n runs on."""


@dataclass(frozen=True)
class Installation:
    """The commands of n8n and of the Node that runs it."""

    node: Path
    n8n: Path


def cache_folder() -> Path:
    """Where the packages are kept: about 2 GB."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nabra"


def install() -> Installation:
    """Install what is missing; takes minutes the first time. Raises `SystemExit` without npm."""
    if shutil.which("npm") is None:
        raise SystemExit("test-n8n needs npm, 2 GB of disk and a package registry that it reaches")
    node = _node(cache_folder() / "node")
    folder = cache_folder() / "n8n"
    command = folder / "node_modules" / ".bin" / "n8n"
    stamp = folder / f".installed-{N8N_VERSION}"
    if not stamp.exists():
        print(f"installing n8n {N8N_VERSION} into {folder} (once; some minutes)", flush=True)
        # Scripts would build drivers of message queues and databases that nobody uses here.
        _npm(
            node, folder, "install", "--ignore-scripts", f"--before={BEFORE}", f"n8n@{N8N_VERSION}"
        )
        _npm(node, folder, "rebuild", "sqlite3")
        stamp.touch()
    return Installation(node, command)


def _node(folder: Path) -> Path:
    """Return a Node that is new enough: that of the path, else one from npm."""
    found = shutil.which("node")
    if found is not None and _major(found) >= NODE_MAJOR:
        return Path(found)
    if not (node := _installed_node(folder)).exists():
        _npm(None, folder, "install", f"node@{NODE_MAJOR}")
        node = _installed_node(folder)
    return node


def _installed_node(folder: Path) -> Path:
    """Return the binary beside its headers, which native modules are built with."""
    found = sorted(folder.glob("node_modules/node/node_modules/node-*/bin/node"))
    return found[0] if found else folder / "node_modules" / "node" / "bin" / "node"


def _major(node: str) -> int:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    match = re.match(r"v(\d+)", version.stdout)
    return int(match[1]) if match else 0


def _npm(node: Path | None, folder: Path, command: str, *arguments: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (package := folder / "package.json").exists():
        package.write_text('{"private": true}\n')
    env = dict(os.environ)
    if node is not None:
        env["PATH"] = f"{node.parent}{os.pathsep}{env['PATH']}"
        if (node.parent.parent / "include").is_dir():
            env["npm_config_nodedir"] = str(node.parent.parent)
    subprocess.run(
        ["npm", command, "--no-audit", "--no-fund", "--loglevel=error", *arguments],
        cwd=folder,
        env=env,
        check=True,
    )
