from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from liftwright.analysis import (
    Counts,
    Estimate,
    Moments,
    adjust_p_values,
    check_srm,
    compare_means,
    compare_proportions,
    compare_stratified_proportions,
)

if TYPE_CHECKING:
    from pathlib import Path

Rows = dict[str, list[dict[str, str]]]

CONTROL = "No E-Mail"


@pytest.fixture(scope="module")
def hillstrom(shared_data: Path) -> Rows:
    return read(shared_data / "experiments" / "hillstrom.csv", "segment")


def read(path: Path, arm: str) -> Rows:
    arms: Rows = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            arms[row[arm]].append(row)
    return arms


def counts(rows: list[dict[str, str]], metric: str) -> Counts:
    return Counts(n=len(rows), events=sum(int(row[metric]) for row in rows))


def moments(rows: list[dict[str, str]], metric: str) -> Moments:
    values = [float(row[metric]) for row in rows]
    return Moments(n=len(values), total=sum(values), total_sq=sum(x * x for x in values))


def estimate(arms: Rows, arm: str, metric: str) -> Estimate:
    if metric == "spend":
        return compare_means(moments(arms[arm], metric), moments(arms[CONTROL], metric))
    return compare_proportions(counts(arms[arm], metric), counts(arms[CONTROL], metric))


@pytest.mark.parametrize(
    ("arm", "metric", "difference", "lift", "p_value", "interval"),
    [
        ("Mens E-Mail", "visit", 0.0765896, 0.7214, 5.685e-112, (0.069953, 0.083226)),
        ("Mens E-Mail", "conversion", 0.0068050, 1.1884, 1.523e-13, (0.005000, 0.008610)),
        ("Mens E-Mail", "spend", 0.769827, 1.1793, 1.164e-7, (0.48514, 1.05451)),
        ("Womens E-Mail", "visit", 0.0452331, 0.4261, 3.182e-44, (0.038894, 0.051572)),
        ("Womens E-Mail", "conversion", 0.0031111, 0.5433, 1.571e-4, (0.001499, 0.004723)),
        ("Womens E-Mail", "spend", 0.424412, 0.6502, 0.0011294, (0.16896, 0.67987)),
    ],
)
def test_hillstrom_contrasts_are_the_published_ones(  # noqa: PLR0913, PLR0917 - a row of the table
    hillstrom: Rows,
    arm: str,
    metric: str,
    difference: float,
    lift: float,
    p_value: float,
    interval: tuple[float, float],
) -> None:
    found = estimate(hillstrom, arm, metric)
    assert found.difference == pytest.approx(difference, abs=5e-7)
    assert found.lift == pytest.approx(lift, abs=5.1e-5)
    assert found.p_value == pytest.approx(p_value, rel=4e-4)
    # The published intervals of rates are Wald's, from which Newcombe's differ a little.
    assert found.difference_ci == pytest.approx(interval, abs=5e-6 if metric == "spend" else 4e-5)


@pytest.mark.parametrize(
    ("arm", "interval"), [("Mens E-Mail", (1.768, 2.709)), ("Womens E-Mail", (1.230, 1.936))]
)
def test_hillstrom_conversion_ratio_intervals_are_near_the_published_ones(
    hillstrom: Rows, arm: str, interval: tuple[float, float]
) -> None:
    found = estimate(hillstrom, arm, "conversion")
    assert found.lift_ci is not None
    # The published ones are on the log scale, ours are score intervals.
    assert [limit + 1 for limit in found.lift_ci] == pytest.approx(interval, abs=0.0015)


def test_hillstrom_p_values_by_holm_are_the_published_ones(hillstrom: Rows) -> None:
    keys = list(
        itertools.product(("Mens E-Mail", "Womens E-Mail"), ("visit", "conversion", "spend"))
    )
    raw = [estimate(hillstrom, arm, metric).p_value for arm, metric in keys]
    adjusted = dict(zip(keys, adjust_p_values(raw), strict=True))
    assert adjusted["Womens E-Mail", "conversion"] == pytest.approx(3.142e-4, rel=2e-4)
    assert adjusted["Womens E-Mail", "spend"] == pytest.approx(0.0011294, abs=5e-8)


def test_hillstrom_arms_have_their_shares(hillstrom: Rows) -> None:
    found = check_srm(
        {arm: len(rows) for arm, rows in hillstrom.items()}, dict.fromkeys(hillstrom, 1)
    )
    assert dict(found.observed) == {
        "Mens E-Mail": 21307,
        "Womens E-Mail": 21387,
        "No E-Mail": 21306,
    }
    assert found.p_value == pytest.approx(0.904, abs=5e-4)
    assert found.ok


def test_hillstrom_womens_conversion_is_negative_in_two_history_segments(hillstrom: Rows) -> None:
    by_arm = {
        arm: {
            segment: counts(list(rows), "conversion")
            for segment, rows in itertools.groupby(
                sorted(hillstrom[arm], key=lambda row: row["history_segment"]),
                key=lambda row: row["history_segment"],
            )
        }
        for arm in ("Womens E-Mail", CONTROL)
    }
    strata = [(by_arm["Womens E-Mail"][name], by_arm[CONTROL][name]) for name in by_arm[CONTROL]]
    assert sum(one.mean < zero.mean for one, zero in strata) == 2
    found = compare_stratified_proportions(strata)
    assert found.test == "Cochran-Mantel-Haenszel"
    assert found.lift == pytest.approx(0.5387, abs=5e-5)


def test_fast_food_means_are_the_published_ones(shared_data: Path) -> None:
    arms = read(shared_data / "experiments" / "fastfood.csv", "Promotion")
    means = {arm: moments(rows, "SalesInThousands").mean for arm, rows in arms.items()}
    assert means == pytest.approx({"1": 58.099, "2": 47.329, "3": 55.364}, abs=5e-4)
    found = compare_means(
        moments(arms["2"], "SalesInThousands"), moments(arms["1"], "SalesInThousands")
    )
    assert found.p_value is not None
    assert found.p_value < 1e-8
