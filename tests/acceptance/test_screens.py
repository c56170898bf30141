"""What a person reads: the help of each command, and its answer on one fixed campaign.

The wording stands in `__snapshots__`, and `make snapshots` writes it anew. What a screen must hold
by contract (statuses, names, values, JSON) is asserted elsewhere.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from acceptance_samples import liftwright, steady
from liftwright.cli import app

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

# The workspace is made once.
pytestmark = pytest.mark.xdist_group("screens")
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined] # of a group
WIDE, NARROW = "1000", "100"
"""Columns of the terminal: so many that no path is broken, and so few as people have."""
CLAIMS = (
    {
        "text": "Boots come back clean. Express delivery costs £99.",
        "sources": ["Boots should come back clean."],
    },
)
SCREENS = {
    "run": (WIDE, ("run", "--run-id", "first")),
    "run that is refused": (WIDE, ("run", "--run-id", "first", "--set", "seed=8")),
    "plan": (WIDE, ("plan",)),
    "status": (WIDE, ("status", "first")),
    "runs": (WIDE, ("runs",)),
    "doctor": (WIDE, ("doctor",)),
    "verify": (WIDE, ("verify",)),
    "index": (WIDE, ("index",)),
    "search": (NARROW, ("search", "boots")),
    "screen, harmless": (WIDE, ("screen", "Our shops open at nine.")),
    "screen, harmful": (WIDE, ("screen", "I will kill you.")),
    "ground": (WIDE, ("ground", "claims.jsonl")),
}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_of_each_command(
    command: str, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.setenv("COLUMNS", NARROW)
    monkeypatch.setenv("TERMINAL_WIDTH", NARROW)
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert steady(result.stdout) == snapshot


@pytest.fixture(scope="module")
def shown(complete: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one finished run, `first`."""
    root = shutil.copytree(complete, tmp_path_factory.mktemp("screens") / "workspace")
    (root / "claims.jsonl").write_text("".join(json.dumps(one) + "\n" for one in CLAIMS))
    return root


@pytest.mark.parametrize("screen", SCREENS)
def test_screen_of_each_command(
    shown: Path, screen: str, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    columns, arguments = SCREENS[screen]
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.chdir(shown)
    answer = liftwright(shown, *arguments)
    assert (answer.status, steady(answer.out, shown), steady(answer.err, shown)) == snapshot


def test_screen_of_analyze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.setenv("COLUMNS", NARROW)
    file = tmp_path / "results.csv"
    rows = [f"{('control', 'new')[n % 2]},{int(n % (9 - n % 2) == 0)}" for n in range(2_000)]
    file.write_text("arm,bought\n" + "\n".join(rows) + "\n", encoding="utf-8")
    answer = liftwright(None, "analyze", str(file), "--arm", "arm", "--metric", "bought")
    assert (answer.status, steady(answer.out), answer.err) == snapshot
