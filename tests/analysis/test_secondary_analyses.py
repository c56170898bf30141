from __future__ import annotations

import random
from dataclasses import fields

import pytest

from liftwright.analysis import (
    ArmComparison,
    Cell,
    Contrasts,
    Counts,
    Estimate,
    MetricSpec,
    Moments,
    bayes_rows,
    interaction_rows,
    sequential_rows,
)
from liftwright.analysis.bayes import believe, posterior_of
from liftwright.analysis.interactions import check_interaction
from liftwright.analysis.sequential import estimate_sequence

OPENED = MetricSpec(name="opened", kind="binary")
SPENT = MetricSpec(name="spent", kind="mean")
ARMS = ("control", "urgent", "friendly")


def estimate_of(row: ArmComparison) -> Estimate:
    return Estimate(**{one.name: getattr(row, one.name) for one in fields(Estimate)})


def opened(segment: str | None, arm: str, n: int, events: int) -> Cell:
    return Cell(segment=segment, arm=arm, metric="opened", n=n, events=events)


def spent(arm: str, values: list[float]) -> Cell:
    return Cell(
        segment=None,
        arm=arm,
        metric="spent",
        n=len(values),
        total=sum(values),
        total_sq=sum(v * v for v in values),
    )


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


def test_bayes_rows_of_one_stratum_are_the_posteriors_of_the_arms() -> None:
    draw = random.Random(2)  # noqa: S311 - not for secrets
    values = {arm: [draw.gauss(5 + place, 2) for _ in range(40)] for place, arm in enumerate(ARMS)}
    cells = [
        *(opened(None, arm, 500, 50 + 10 * place) for place, arm in enumerate(ARMS)),
        *(spent(arm, numbers) for arm, numbers in values.items()),
    ]
    rows = bayes_rows(Contrasts(cells, (OPENED, SPENT), "control", ARMS))
    assert [(row.metric, row.arm) for row in rows] == [
        *(("opened", arm) for arm in ARMS),
        *(("spent", arm) for arm in ARMS),
    ]
    laws = {
        arm: law
        for place, arm in enumerate(ARMS)
        if (law := posterior_of([Counts(n=500, events=50 + 10 * place)], [1.0]))
    }
    beliefs = believe(laws, "control")
    friendly = next(r for r in rows if (r.metric, r.arm) == ("opened", "friendly"))
    assert friendly.probability_best == beliefs["friendly"].probability_best
    assert friendly.difference_ci == beliefs["friendly"].difference_ci
    assert friendly.lift == pytest.approx(70.5 / 50.5 - 1)
    control = next(r for r in rows if (r.metric, r.arm) == ("spent", "control"))
    assert control.difference is None
    assert control.probability_better is None
    of_spent = [r.probability_best or 0 for r in rows if r.metric == "spent"]
    assert sum(of_spent) == pytest.approx(1.0)
    best = next(r for r in rows if (r.metric, r.arm) == ("spent", "friendly"))
    moments = Moments(n=40, total=sum(values["friendly"]), total_sq=0.0)
    assert best.treatment == pytest.approx(moments.mean)
