from __future__ import annotations

from dataclasses import fields

import pytest

from liftwright.analysis import (
    ArmComparison,
    ArmTotals,
    Contrasts,
    Counts,
    Estimate,
    MetricSpec,
    interaction_rows,
    sequential_rows,
)
from liftwright.analysis.interactions import check_interaction
from liftwright.analysis.sequential import estimate_sequence

OPENED = MetricSpec(name="opened", kind="binary")
ARMS = ("control", "urgent", "friendly")


def estimate_of(row: ArmComparison) -> Estimate:
    return Estimate(**{one.name: getattr(row, one.name) for one in fields(Estimate)})


def opened(segment: str | None, arm: str, n: int, events: int) -> ArmTotals:
    return ArmTotals(segment=segment, arm=arm, metric="opened", n=n, events=events)


SEGMENTS = [
    opened("gold", "control", 400, 80),
    opened("gold", "urgent", 410, 160),
    opened("gold", "friendly", 390, 80),
    opened("basic", "control", 800, 120),
    opened("basic", "urgent", 300, 40),
]


def test_sequential_rows_have_the_common_columns_and_one_family() -> None:
    contrasts = Contrasts(SEGMENTS, (OPENED,), "control", ARMS)
    urgent, friendly = sequential_rows(contrasts, {"urgent": 4_000})
    gold = (Counts(n=410, events=160), Counts(n=400, events=80))
    basic = (Counts(n=300, events=40), Counts(n=800, events=120))
    assert estimate_of(urgent) == estimate_sequence([gold, basic], alpha=0.05, planned=4_000)
    assert (friendly.n_treatment, friendly.n_control) == (390, 400)
    assert urgent.p_adjusted == pytest.approx(2 * (urgent.p_value or 0))


def test_interaction_rows_tell_whether_the_effect_differs() -> None:
    urgent, friendly = interaction_rows(Contrasts(SEGMENTS, (OPENED,), "control", ARMS))
    expected = check_interaction(
        [
            (Counts(n=410, events=160), Counts(n=400, events=80)),
            (Counts(n=300, events=40), Counts(n=800, events=120)),
        ]
    )
    assert urgent.p_value == expected.p_value
    assert urgent.significant
    assert urgent.difference is None
    assert urgent.statistic == expected.statistic
    assert urgent.segments_compared == 2
    assert friendly.p_value is None, "it stands in one segment alone"
