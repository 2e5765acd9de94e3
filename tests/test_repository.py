"""What must agree between the files of this repository."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from app import __version__, errors
from app.api.clients.native.client_messages import ClientMessage
from app.openai.settings import OpenAISettings
from app.settings import Settings

ROOT = Path(__file__).parent.parent
MESSAGES = get_args(ClientMessage)
LOCKS = ("requirements.lock", "requirements-simulator.lock", "requirements-dev.lock")
# In pieces, or this file would name them.
REGISTRY_HOSTS = tuple(
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"), ("pythonhosted", "org"), ("pypi", "python", "org"), ("piwheels", "org"),
        ("registry", "npmjs", "org"), ("registry", "yarnpkg", "com"), ("npm", "pkg", "github"),
        ("crates", "io"), ("proxy", "golang", "org"), ("rubygems", "org"), ("anaconda", "org"),
        ("repo", "maven", "apache", "org"), ("repo1", "maven", "org"), ("docker", "io"),
        ("ghcr", "io"), ("quay", "io"), ("gcr", "io"), ("unpkg", "com"), ("jsdelivr", "net"),
        ("deb", "debian", "org"), ("archive", "ubuntu", "com"),
    )
)  # fmt: skip


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def repository_files() -> list[Path]:
    """Tracked files, and those that are neither tracked nor ignored."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = [git, "-C", str(ROOT), "ls-files", "-coz", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def locked(name: str) -> dict[str, str]:
    """Map each package of a lock to its version and marker."""
    pins = re.findall(r"^([a-z0-9-]+)==(.+?) *\\$", text(name), re.MULTILINE)
    return dict(pins)


def declared() -> dict[str, list[str]]:
    """Map each lock to the names of the packages that pyproject.toml asks to be in it."""
    project = tomllib.loads(text("pyproject.toml"))
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"]
    runtime = project["project"]["dependencies"] + extras["otel"] + groups["build"]
    simulator = runtime + extras["simulator"]
    lists = dict(zip(LOCKS, (runtime, simulator, simulator + groups["dev"]), strict=True))
    return {lock: [_name(item) for item in items] for lock, items in lists.items()}


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def test_no_file_names_a_registry() -> None:
    """Each machine decides where its packages come from."""
    offenders = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in repository_files()
        for host in REGISTRY_HOSTS
        if host.encode() in path.read_bytes()
    ]
    assert offenders == []


@pytest.mark.parametrize("document", [".env.example", "README.md"])
def test_every_setting_is_documented(document: str) -> None:
    """The document lists every setting, and no other."""
    known = {name.upper() for name in Settings.model_fields}
    known |= {f"OPENAI_{name.upper()}" for name in OpenAISettings.model_fields}
    if document == "README.md":
        rows = re.findall(r"^\|([^|]*)\|", text(document), re.MULTILINE)
        found = set(re.findall(r"`([A-Z0-9_]+)`", "".join(rows)))
    else:
        found = set(re.findall(r"^#?([A-Z0-9_]+)=", text(document), re.MULTILINE))
    assert found == known


def test_example_shows_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env.example` with no line commented changes nothing."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    example = re.sub(r"^#([A-Z0-9_]+=)", r"\1", text(".env.example"), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(example)
    monkeypatch.chdir(tmp_path)
    assert Settings() == Settings(_env_file=None)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", (*LOCKS, "bench/competing/requirements.lock"))
def test_lock_is_pinned_by_hash_alone(name: str) -> None:
    """No line of a lock says where to download from, and every pin has a hash."""
    lines = text(name).splitlines()
    assert not [line for line in lines if "://" in line or " @ " in line or line.startswith("-")]
    pins = [number for number, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
    assert len(pins) > 20
    assert all(lines[number + 1].lstrip().startswith("--hash=sha256:") for number in pins)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_what_the_project_asks_for(name: str) -> None:
    """A dependency that was added is locked (`make lock`)."""
    assert set(declared()[name]) <= locked(name).keys()


def test_locks_agree() -> None:
    """Each lock holds the one before it, at the same versions: `make run` after `make test`."""
    runtime, simulator, dev = (locked(name) for name in LOCKS)
    assert runtime.items() <= simulator.items() <= dev.items()


def test_default_image_has_no_gpl_package() -> None:
    """The extra that is GPL stays out of the lock that the default image is made from."""
    assert "espeakng-loader" not in locked("requirements.lock")
    stages = re.findall(r"^FROM (\S+) AS (\S+)", text("Dockerfile"), re.MULTILINE)
    assert stages[-1] == ("runtime", "gateway")
    last_stage = text("Dockerfile").rpartition("\nFROM ")[2]
    assert "COPY --from=builder " in last_stage
    assert "demo" not in last_stage


def test_image_is_labelled_with_the_version() -> None:
    """A release changes both."""
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="(.+?)"', text("Dockerfile")))
    assert labels["version"] == __version__
    assert labels["title"] == "Nabra"


def test_image_copies_what_is_there() -> None:
    """Every COPY from the build context names a file that exists and that .dockerignore lets in."""
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", text("Dockerfile"), re.MULTILINE)
    sources = {source for copy in copies for source in copy.split()}
    let_through = set(re.findall(r"^!(.+)$", text(".dockerignore"), re.MULTILINE))
    assert sources == let_through
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_package_metadata_files_are_copied() -> None:
    """What pyproject.toml refers to is there when the image builds the package."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    copied = text("Dockerfile").partition("COPY pyproject.toml ")[2].partition("\n")[0].split()
    assert {project["readme"], *project["license-files"]} <= set(copied)


def test_readme_names_existing_commands() -> None:
    """Every `make …` that the README shows is a target."""
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    shown = set(re.findall(r"(?:^    |`)make ([a-z]+)", text("README.md"), re.MULTILINE))
    assert {"run", "test"} <= shown <= targets


def test_every_error_is_documented() -> None:
    """A client can look up each code that it may be sent."""
    leaves, families = set(), [errors.NabraError]
    while families:
        children = (family := families.pop()).__subclasses__()
        families += children
        if not children and family not in (errors.ConfigurationError, errors.AccessDeniedError):
            leaves.add(family.code)
    table = text("docs/protocol.md").partition("## Errors")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)
    assert set(re.findall(r"`([a-z0-9-]+)`", "".join(rows))) == leaves


def test_every_client_message_is_documented() -> None:
    """The document lists every message that the gateway accepts, and no other."""
    table = text("docs/protocol.md").partition("## From the client")[2].partition("\n## ")[0]
    understood = {get_args(kind.model_fields["type"].annotation)[0] for kind in MESSAGES}
    assert set(re.findall(r'"type": "([a-z_]+)"', table)) == understood


def test_changelog_has_unreleased_changes() -> None:
    """The next release has its list of changes."""
    unreleased = text("CHANGELOG.md").partition("## [Unreleased]")[2].partition("\n## ")[0]
    assert "\n- " in unreleased


def test_the_command_line_of_httpx_is_not_imported() -> None:
    """It would take a seventh of the start's time."""
    program = "import app.main, sys; assert sys.modules['httpx._main'] is None"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
