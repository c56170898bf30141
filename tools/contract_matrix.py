"""Run the contract and adapter tests on the oldest and newest supported Azure packages.

The newest are those of `requirements-extras.lock`, in the current environment. The oldest are the
lower bounds of the extra `azure` in pyproject.toml, in a separate environment in `.venv-contracts`,
created from the same lock with these versions as overrides. It is created once, and again when the
lock or a bound changes.

    python tools/contract_matrix.py [oldest] [newest]
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess  # nosec B404
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-contracts"
NAMES = ("oldest", "newest")
TESTS = (
    "tests/contracts",
    "tests/adapters/test_azure_content_safety.py",
    "tests/adapters/test_azure_identity.py",
    "tests/adapters/test_azure_key_vault.py",
    "tests/adapters/test_azure_openai.py",
    "tests/adapters/test_azure_search.py",
    "tests/adapters/test_compatible_servers.py",
    "tests/adapters/test_openai_compatible.py",
    "tests/acceptance/test_azure.py",
    "tests/acceptance/test_azure_snippets.py",
)
INSTALL_SECONDS, TEST_SECONDS = 900, 1500

_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>[0-9.]+)(?:,.*)?")
_SHOW = "import importlib.metadata as m, sys; print(*[m.version(n) for n in sys.argv[1:]])"


def lower_bounds(project: str) -> dict[str, str]:
    """The packages of the extra `azure` with their oldest supported version.

    Args:
        project: the text of pyproject.toml.

    Raises:
        ValueError: a requirement has no lower bound.
    """
    bounds = {}
    for requirement in tomllib.loads(project)["project"]["optional-dependencies"]["azure"]:
        match = _BOUND.fullmatch(requirement)
        if match is None:
            raise ValueError(f"pyproject.toml: extra azure: {requirement!r} has no lower bound")
        bounds[match["name"]] = match["version"]
    return bounds


def make_oldest(bounds: Mapping[str, str]) -> Path:
    """The interpreter of the environment with the oldest packages, created if necessary.

    Args:
        bounds: version by package.
    """
    folder = ENVIRONMENTS / "oldest"
    python, ready = folder / "bin" / "python", folder / ".ready"
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(bounds.items()))
    key = _key((ROOT / "requirements-extras.lock").read_text(), pins, sys.version)
    if ready.is_file() and ready.read_text() == key:
        return python
    uv = str(Path(sys.executable).parent / "uv")
    folder.mkdir(parents=True, exist_ok=True)
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    overrides = folder / "oldest.txt"
    overrides.write_text(pins)
    # Compiled now, so that a SyntaxWarning in a vendor's source does not fail its first import.
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    _run([*install, "--requirements", "requirements-extras.lock", "--overrides", str(overrides)])
    _run([*install, "--no-deps", "--no-build-isolation", "--editable", "."])
    ready.write_text(key)
    return python


def run_tests(python: Path, packages: Sequence[str]) -> tuple[str, bool]:
    """Run the tests in an environment.

    Args:
        python: the interpreter of the environment.
        packages: the packages to report versions of.

    Returns:
        A row of the table in docs/azure.md without its name, and whether all tests passed.
    """
    versions = subprocess.run(  # noqa: S603 # nosec B603
        [python, "-c", _SHOW, *packages], check=True, capture_output=True, text=True, timeout=60
    )
    tests = [test for test in TESTS if (ROOT / test).exists()]
    done = subprocess.run(  # noqa: S603 # nosec B603
        [python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "--no-cov", *tests],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        text=True,
        timeout=TEST_SECONDS,
    )
    print(done.stdout)
    summary = (done.stdout.strip().splitlines() or ["nothing"])[-1].strip("= ")
    today = datetime.now(UTC).date().isoformat()
    version = ".".join(map(str, sys.version_info[:3]))
    cells = [version, *versions.stdout.split(), re.sub(r" in .*", "", summary), today]
    return " | ".join(cells), done.returncode == 0


def main(names: Sequence[str]) -> int:
    """Run the tests in the named environments and print the table.

    Returns:
        0 if all passed, 1 if a test failed, 2 for an unknown name.
    """
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"found {sorted(unknown)}, allowed: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    bounds = lower_bounds((ROOT / "pyproject.toml").read_text())
    rows, passed = [], True
    for name in names or NAMES:
        python = make_oldest(bounds) if name == "oldest" else Path(sys.executable)
        row, ok = run_tests(python, list(bounds))
        rows.append(f"| {name} | {row} |")
        passed &= ok
    head = ["packages", "Python", *bounds, "result", "date"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    print("\n".join(rows))
    return 0 if passed else 1


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT, timeout=INSTALL_SECONDS)  # noqa: S603 # nosec B603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
