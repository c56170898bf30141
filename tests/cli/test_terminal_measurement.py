"""What a person sees of a run that was measured, in a narrow terminal too."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from liftwright.cli.terminal.measurement import print_measured
from liftwright.run_folder import RunFolder
from reporting_samples import TONES, Sample, write_run

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 80


def change(folder: Path, name: str, **values: Any) -> None:
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def shown(folder: Path, *, colour: bool = False) -> str:
    stream = io.StringIO()
    out = Console(file=stream, width=WIDTH, force_terminal=colour, highlight=False)
    print_measured(out, RunFolder(folder))
    return stream.getvalue()


def decided(decision: str, reason: str, arms: tuple[str, ...] = TONES) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "metric": "click_rate", "decision": decision, "reasons": [reason]}
        for arm in arms
    ]


def test_print_measured_fits_a_narrow_terminal_and_keeps_each_number(tmp_path: Path) -> None:
    out = shown(write_run(tmp_path / "run", Sample(treatment_events=80)))
    assert max(map(len, out.splitlines())) <= WIDTH
    assert "…" not in out
    for part in ("SIMULATED", "Against control", "informational", "conversion_rate"):
        assert part in out


def test_print_measured_tells_alike_decisions_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    both = decided("continue", "too early", TONES[:2]) + decided("ship", "better", TONES[2:])
    change(folder, "metrics.json", decisions=both)
    lines = shown(folder).splitlines()
    assert "continue urgent, informational: too early" in lines
    assert "ship friendly: better" in lines


def test_print_measured_after_a_mismatch_names_nobody(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", Sample(treatment_events=80))
    change(folder, "metrics.json", srm_failed=["overall", "segment A", "segment B", "period C"])
    out = " ".join(shown(folder).split())
    assert "SAMPLE-RATIO MISMATCH in: overall, segment A, segment B and 1 more" in out
    assert "best is" not in out


def test_print_measured_says_who_was_left_out_and_what_machines_did(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", Sample(simulated=False))
    change(folder, "arms.json", left_out={"holdout": 1200, "suppressed": 3})
    change(folder, "engagement.json", machine_opens=1400, warnings=["1 row set aside"])
    out = " ".join(shown(folder).split())
    assert "sent nothing: 1,203 customers (holdout 1,200, suppressed 3)" in out
    assert "4,800 used; made by machines and not counted: 1,400 opens, 0 clicks" in out
    assert "! 1 row set aside" in out
    assert "delivered of assigned: control 1,200 of 1,200" in out
    assert "SIMULATED" not in out


@pytest.mark.parametrize(
    ("deviations", "told"),
    [
        ([], "analysis plan abababababab: followed"),
        (["deviates from plan: alpha"], "analysis plan abababababab: DEVIATED FROM, see below"),
    ],
)
def test_print_measured_says_whether_the_plan_was_kept(
    tmp_path: Path, deviations: list[str], told: str
) -> None:
    folder = write_run(tmp_path / "run")
    plan = {"sha256": "ab" * 32, "deviations": deviations}
    change(folder, "metrics.json", plan=plan, warnings=deviations)
    out = shown(folder)
    assert told in out
    assert all(f"! {deviation}" in out for deviation in deviations)


def test_print_measured_shows_the_last_two_looks_of_a_course(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    course = [
        {
            "look": look,
            "arm": "urgent",
            "metric": "click_rate",
            "lift": look / 10,
            "lift_ci": [0.0, 1.0],
            "p_value": 0.5,
            "n_treatment": 1000 * look,
            "n_control": 900 * look,
        }
        for look in (1, 2, 3)
    ]
    change(folder, "metrics.json", course=course)
    out = " ".join(shown(folder).split())
    assert "look 3 of this experiment" in out
    assert "look 2, urgent: +20.0% (+0.0% to +100.0%), p 0.5, 2,000 / 1,800 delivered" in out
    assert "look 1, urgent" not in out


def test_print_measured_colours_only_where_there_is_a_terminal(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    change(folder, "metrics.json", decisions=decided("stop", "worse"))
    assert "\x1b[31mstop\x1b[0m" in shown(folder, colour=True)
    assert "\x1b" not in shown(folder)


def test_print_measured_names_tests_and_says_once_why_something_is_missing(tmp_path: Path) -> None:
    out = " ".join(shown(write_run(tmp_path / "run")).split())
    assert (
        "Tests: Cochran-Mantel-Haenszel: open_rate, click_rate; stratified Welch t: revenue." in out
    )
    assert "! lift not estimable: control has no event (urgent, conversion_rate;" in out
    assert out.count("lift not estimable: control has no event") == 1


def test_print_measured_after_a_mismatch_tells_it_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    warnings = ["sample-ratio mismatch (p = 1e-9): no difference can be trusted", "another"]
    change(folder, "metrics.json", srm_failed=["overall"], warnings=warnings)
    out = shown(folder)
    assert "! sample-ratio" not in out
    assert "! another" in out
