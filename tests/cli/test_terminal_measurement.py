"""What a person sees of a run that was measured; the wording stands in `__snapshots__`."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from liftwright.cli.terminal.measurement import print_measured
from liftwright.model.run_files import RunFolder
from reporting_samples import TONES, Sample, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

WIDTH = 80
DEVIATIONS = ["deviates from plan: alpha"]


def decided(decision: str, reason: str, arms: tuple[str, ...] = TONES) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "metric": "click_rate", "decision": decision, "reasons": [reason]}
        for arm in arms
    ]


def look(number: int) -> dict[str, Any]:
    return {
        "look": number,
        "measured_at": None,
        "arm": "urgent",
        "metric": "click_rate",
        "lift": number / 10,
        "lift_ci": [0.0, 1.0],
        "p_value": 0.5,
        "p_adjusted": 1.0,
        "n_treatment": 1000 * number,
        "n_control": 900 * number,
    }


# By screen: the run, and what its files say otherwise.
SCREENS: dict[str, tuple[Sample, dict[str, dict[str, Any]]]] = {
    "winner": (Sample(treatment_events=80), {}),
    "alike decisions": (
        Sample(),
        {
            "metrics.json": {
                "decisions": decided("continue", "too early", TONES[:2])
                + decided("ship", "better", TONES[2:])
            }
        },
    ),
    "mismatch": (
        Sample(treatment_events=80),
        {
            "metrics.json": {
                "srm_failed": ["overall", "segment A", "segment B", "period C"],
                "warnings": [
                    "sample-ratio mismatch (p = 1e-9): no difference can be trusted",
                    "another",
                ],
            }
        },
    ),
    "real engagement": (
        Sample(simulated=False),
        {
            "arms.json": {"left_out": {"holdout": 1200, "suppressed": 3}},
            "engagement.json": {"machine_opens": 1400, "warnings": ["1 row set aside"]},
        },
    ),
    "plan kept": (Sample(), {"metrics.json": {"plan": {"sha256": "ab" * 32, "deviations": []}}}),
    "plan not kept": (
        Sample(),
        {
            "metrics.json": {
                "plan": {"sha256": "ab" * 32, "deviations": DEVIATIONS},
                "warnings": DEVIATIONS,
            }
        },
    ),
    "looks": (Sample(), {"metrics.json": {"course": [look(1), look(2), look(3)]}}),
}


def shown(folder: Path, *, colour: bool = False) -> str:
    stream = io.StringIO()
    out = Console(file=stream, width=WIDTH, force_terminal=colour, highlight=False)
    print_measured(out, RunFolder(folder))
    return stream.getvalue()


def written(folder: Path, screen: str) -> Path:
    sample, changes = SCREENS[screen]
    write_run(folder, sample)
    for name, values in changes.items():
        file = folder / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return folder


@pytest.mark.parametrize("screen", SCREENS)
def test_print_measured(screen: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    out = shown(written(tmp_path / "run", screen))
    assert max(map(len, out.splitlines())) <= WIDTH
    assert "…" not in out
    assert ("SIMULATED" in out) is (screen != "real engagement")
    assert ("best arm urgent" in out) is (screen == "winner")
    assert out == snapshot


def test_print_measured_colours_only_where_there_is_a_terminal(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", "alike decisions")
    assert "\x1b[" in shown(folder, colour=True)
    assert "\x1b" not in shown(folder)
