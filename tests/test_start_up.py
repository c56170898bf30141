"""What a command must not load before it knows what was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import acceptance_samples

if TYPE_CHECKING:
    from pathlib import Path

# Each costs more than the whole of `liftwright --help`.
HEAVY = frozenset(
    {"numpy", "scipy", "pandas", "statsmodels", "duckdb", "sqlglot", "pydantic", "onnxruntime"}
    | {"tokenizers", "yaml", "rich", "typst", "nbformat", "altair", "openai", "azure", "httpx"}
)
OURS_THAT_LOAD_THEM = frozenset(
    {
        "liftwright.config",
        "liftwright.campaign.pipeline",
        "liftwright.wiring",
        "liftwright.campaign",
    }
)
# None of these serves who works with the embedded parts.
OF_SERVICES = ("azure", "openai", "mlflow", "opentelemetry", "pyspark", "msal", "httpx", "httpx2")
OF_SERVICES += ("obstore", "botocore", "google", "fsspec")
SHOW_LOADED = "import json, sys; json.dump(sorted(sys.modules), sys.stdout)"


def loaded_by(code: str) -> set[str]:
    """The modules of a fresh interpreter after some code, by their full names."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{SHOW_LOADED}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def heavy(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules} & HEAVY | modules & OURS_THAT_LOAD_THEM


def asking(*arguments: str) -> str:
    return (
        f"import sys; sys.argv = {['liftwright', *arguments]!r}\n"
        "from liftwright.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


@pytest.mark.parametrize(
    "code",
    ["import liftwright", "import liftwright.cli", asking("--help")],
    ids=["package", "module", "help"],
)
def test_command_line_that_lists_its_commands_loads_nothing_heavy(code: str) -> None:
    assert heavy(loaded_by(code)) == set()


@pytest.mark.parametrize("arguments", [("--version",), ("run", "--help"), ("analyze", "--help")])
def test_command_line_that_reads_options_loads_no_more_than_typer_does(
    arguments: tuple[str, ...],
) -> None:
    assert heavy(loaded_by(asking(*arguments))) <= {"pydantic"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return acceptance_samples.lay_down(tmp_path_factory.mktemp("embedded") / "workspace")


@pytest.mark.parametrize(
    "commands",
    [
        # There is a status once there is a run.
        (("run", "--run-id", "embedded"), ("status",)),
        (("plan",),),
        (("search", "boots"),),
        (("screen", "Our shops open at nine."),),
        (("doctor",),),
    ],
    ids=lambda commands: "-".join(arguments[0] for arguments in commands),
)
def test_command_with_embedded_adapters_loads_no_package_of_a_service(
    commands: tuple[tuple[str, ...], ...], workspace: Path
) -> None:
    for arguments in commands:
        loaded = loaded_by(asking(*arguments, "--workspace", str(workspace)))
        assert {name for name in loaded if name.partition(".")[0] in OF_SERVICES} == set()
        assert "liftwright.wiring" in loaded, "it did work"
