from __future__ import annotations

from dataclasses import replace

from liftwright.agents.experimentation import interim_looks
from liftwright.analysis import ArmTotals, ExperimentResult, MetricSpec, compare

CLICKED, OPENED = (MetricSpec(name=name, kind="binary") for name in ("click_rate", "open_rate"))


def look(clicks: int, *, simulated: bool = False, primary: str = "click_rate") -> ExperimentResult:
    """A measurement in which 10 of 100 customers of the control clicked."""
    events = {
        ("control", "click_rate"): 10,
        ("urgent", "click_rate"): clicks,
        ("control", "open_rate"): 50,
        ("urgent", "open_rate"): 20,
    }
    cells = [
        ArmTotals(segment="A", arm=arm, metric=metric, n=100, events=count)
        for (arm, metric), count in events.items()
    ]
    found = compare(cells, [OPENED, CLICKED], "control", units={"control": 100, "urgent": 100})
    return replace(
        found,
        simulated=simulated,
        primary_metric=primary,
        measured_at=f"2026-01-{clicks:02}T00:00:00Z",
    )


def lifts(*looks: ExperimentResult) -> list[tuple[int, float]]:
    return [(one.look, round(one.lift or 0.0, 6)) for one in interim_looks(looks)]


def test_interim_looks_follow_the_primary_metric_over_all() -> None:
    found = interim_looks([look(11), look(12), look(13)])

    assert lifts(look(11), look(12), look(13)) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert {one.metric for one in found} == {"click_rate"}
    assert found[1].measured_at == "2026-01-12T00:00:00Z"


def test_interim_looks_of_a_single_real_look_are_none() -> None:
    assert interim_looks([look(11, simulated=True), look(12)]) == ()


def test_interim_looks_with_another_primary_metric_follow_the_last_one_s() -> None:
    assert lifts(look(11, primary="open_rate"), look(12)) == [(1, 0.1), (2, 0.2)]
