from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from liftwright.agents.experimentation import (
    OVERALL,
    Expected,
    PlannedPower,
    expected_outcomes,
    least_per_arm,
    plan_power,
    segment_sentence,
    sentences,
)
from liftwright.analysis import smallest_detectable_effect
from plane_samples import customer, experiment_config, keep_customers, keep_segmented, open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.data import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    rows = [("a", "A"), ("b", "A"), ("c", "B")]
    rates = {"a": (0.2, 0.1, 10.0), "b": (0.4, 0.2, 40.0), "c": (0.6, 0.0, 90.0)}
    keep_segmented(opened, rows)
    keep_customers(
        opened,
        [
            customer(
                0,
                customer_id=name,
                historical_open_rate=opened_rate,
                historical_click_rate=clicked,
                avg_order_value=value,
            )
            for name, (opened_rate, clicked, value) in rates.items()
        ],
    )
    yield opened
    opened.close()


def by_metric(rows: tuple[Expected, ...], segment: str) -> dict[str, Expected]:
    return {row.metric: row for row in rows if row.segment == segment}


def test_expected_outcomes_are_the_means_of_the_customers_own_rates(tables: Tables) -> None:
    config = experiment_config(simulation={"conversion_rate_of_clicks": 0.5})

    found = expected_outcomes(tables, config)

    of_a, overall = by_metric(found, "A"), by_metric(found, OVERALL)
    assert of_a["open_rate"].base == pytest.approx(0.3)
    assert of_a["click_rate"].base == pytest.approx(0.15)
    assert of_a["conversion_rate"].base == pytest.approx(0.075)
    assert of_a["revenue"].base == pytest.approx(0.5 * (0.1 * 10 + 0.2 * 40) / 2)
    assert overall["open_rate"].base == pytest.approx(0.4)
    assert overall["click_rate"].customers == 3


def test_expected_outcomes_revenue_spreads_as_the_simulator_s(tables: Tables) -> None:
    config = experiment_config(simulation={"conversion_rate_of_clicks": 0.5})

    revenue = by_metric(expected_outcomes(tables, config), "A")["revenue"]

    # E of the product of three squared uniforms on one half to one and a half.
    square = 0.5 * (0.1 * 100 + 0.2 * 1600) / 2 * (13 / 12) ** 3
    assert revenue.sd == pytest.approx(math.sqrt(square - revenue.base**2))


def expected(metric: str, base: float, sd: float | None, customers: int = 40_000) -> Expected:
    return Expected(segment=OVERALL, metric=metric, base=base, sd=sd, customers=customers)


def test_plan_power_uses_the_level_that_the_correction_leaves_to_one_test() -> None:
    config = experiment_config(simulation={"delivery_rate": 1.0})
    rows = (expected("click_rate", 0.05, None),)

    (planned,) = plan_power(rows, config)

    assert planned.alpha == pytest.approx(0.05 / 18)
    assert (planned.per_arm, planned.control) == (10_000, 10_000)
    effect = smallest_detectable_effect(0.05, 10_000, 10_000, alpha=0.05 / 18, power=0.8)
    assert effect is not None
    assert planned.smallest_lift == pytest.approx(effect / 0.05, rel=1e-4)


def test_plan_power_of_segments_is_a_family_of_its_own() -> None:
    config = experiment_config()
    rows = tuple(
        Expected(segment=segment, metric="open_rate", base=0.2, sd=None, customers=1000)
        for segment in (OVERALL, "A", "B")
    )

    planned = {row.segment: row.alpha for row in plan_power(rows, config)}

    assert planned[OVERALL] == pytest.approx(0.05 / 18)
    assert planned["A"] == pytest.approx(0.05 / 36)


@pytest.mark.parametrize(
    ("metric", "base", "sd"), [("open_rate", 0.2, None), ("revenue", 1.0, 9.0)]
)
def test_plan_power_customers_needed_show_the_least_lift_of_interest(
    metric: str, base: float, sd: float | None
) -> None:
    config = experiment_config(
        analysis={"minimum_lift": 0.15, "correction": "none"}, simulation={"delivery_rate": 0.5}
    )
    (planned,) = plan_power((expected(metric, base, sd),), config)
    needed = planned.customers_needed
    assert needed is not None

    (then,) = plan_power((expected(metric, base, sd, customers=needed),), config)

    assert then.smallest_lift == pytest.approx(0.15, rel=1e-3)
    # Half of the messages arrive, in four arms.
    assert then.per_arm == pytest.approx(needed / 8, abs=1)


@pytest.mark.parametrize(("base", "sd"), [(0.0, None), (1.0, None), (0.0, 0.0)])
def test_plan_power_where_nothing_can_be_expected_says_nothing(
    base: float, sd: float | None
) -> None:
    (planned,) = plan_power((expected("revenue", base, sd),), experiment_config())

    assert planned.smallest_lift is None
    assert planned.customers_needed is None


def test_least_per_arm_gives_the_primary_metric_its_power() -> None:
    config = experiment_config()
    least = least_per_arm((expected("click_rate", 0.08, None),), config)
    assert least is not None

    distance = proportion_effectsize(0.088, 0.08)
    power = NormalIndPower().power(distance, least, 0.05 / 18)

    assert power == pytest.approx(0.8, abs=1e-3)
    assert least_per_arm((expected("open_rate", 0.08, None),), config) is None


def planned(metric: str, lift: float | None, needed: int | None) -> PlannedPower:
    return PlannedPower(
        segment=OVERALL,
        metric=metric,
        base_rate=0.1,
        per_arm=10,
        control=10,
        alpha=0.05,
        smallest_lift=lift,
        customers_needed=needed,
    )


def test_sentences_say_first_whether_the_primary_question_can_be_answered() -> None:
    rows = {
        "open_rate": planned("open_rate", None, None),
        "click_rate": planned("click_rate", 0.08, 900),
        "revenue": planned("revenue", 0.5, 99_000),
        "conversion_rate": planned("conversion_rate", 3.0, None),
    }

    said = sentences(rows, 1000, experiment_config().analysis)

    assert said[0].startswith("click rate (primary): ")
    assert "99,000 customers" in said[2]


@pytest.mark.parametrize(
    ("lifts", "told"),
    [
        ((0.05, 0.08), ("every",)),
        ((0.05, 0.3), ("only", "A")),
        ((0.9, 0.3), ("B", "1,000")),
        ((None, None), ("B", "1,000")),
    ],
)
def test_segment_sentence_says_which_segments_can_answer(
    lifts: tuple[float | None, float | None], told: tuple[str, ...]
) -> None:
    analysis = experiment_config().analysis
    rows = [
        replace(planned(metric, lift, 1000 if segment == "B" else 9000), segment=segment)
        for segment, lift in zip("AB", lifts, strict=True)
        for metric in ("click_rate", "open_rate")
    ]
    whole = planned("click_rate", 0.01, 10)
    found = segment_sentence([whole, *rows], analysis)
    assert found is not None
    assert "click rate" in found
    assert all(word in found for word in told)
