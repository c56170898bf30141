"""Planning: the control's expected outcomes from history, and the detectable lifts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.analysis import (
    alpha_per_test,
    sample_size,
    sample_size_of_means,
    smallest_detectable_difference,
    smallest_detectable_effect,
)
from liftwright.data import literal
from liftwright.errors import InputError
from liftwright.model import CONTROL, METRICS
from liftwright.model.metrics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from liftwright.config import Analysis, Experiment, Simulation
    from liftwright.data import Tables
    from liftwright.model import MetricSpec
    from liftwright.model.metrics import SimulationSpec

OVERALL = "all"
_MIN_UNITS_FOR_MEANS = 2
# The other metrics have no history to predict them from.
_EXPECTED = {metric: metric.simulated for metric in METRICS if metric.simulated is not None}
# An amount is a customer's average times three factors of mean 1, each uniform on ½ to 1½.
_SQUARE_OF_FACTORS = (13.0 / 12.0) ** 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The expected outcome of the control in one segment, or over all of them.

    Attributes:
        base: The rate, or the mean revenue per customer.
        sd: The standard deviation over customers; None for a rate.
        customers: Number of eligible customers.
    """

    segment: str
    metric: str
    base: float
    sd: float | None
    customers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPower:
    """The detectable lift of one metric in one segment, or over all of them.

    Attributes:
        base_rate: Expected value of the control, from the customers' history: a rate, or the mean
            revenue per customer.
        per_arm: Messages expected to arrive in the smallest treatment arm.
        control: Messages expected to arrive in the control.
        alpha: Significance level of one test after correction for its family (`plan_power`).
        smallest_lift: Smallest relative lift detected with the configured power; None if no lift
            can be detected.
        customers_needed: Customers in all arms together to detect the configured `minimum_lift`;
            None if unknown.
    """

    segment: str
    metric: str
    base_rate: float
    per_arm: int
    control: int
    alpha: float
    smallest_lift: float | None
    customers_needed: int | None


def expected_outcomes(
    tables: Tables, experiment: Experiment, *, among: str = "segmented"
) -> tuple[Expected, ...]:
    """The outcomes that history predicts for the control, overall and per segment.

    Args:
        tables: Hold `among` and `customers`.
        experiment: Its simulation has the rates of customers without a history, the share of
            clicks that end in an order, and the spread of orders.
        among: A table with one row per customer: `customer_id`, `segment`.
    """
    simulation = experiment.simulation
    assigned, customer = tables.with_features(among)
    found = tables.rows(
        tables.sql(
            "expected_outcomes",
            assigned=assigned,
            sums=", ".join(
                sums
                for metric, simulated in _EXPECTED.items()
                for sums in _sums(metric, simulated, simulation, customer)
            ),
        )
    )
    sums = {str(segment): tuple(map(float, cast("tuple[float, ...]", v))) for segment, *v in found}
    if not sums:
        return ()
    whole = tuple(math.fsum(values) for values in zip(*sums.values(), strict=True))
    return tuple(
        expected
        for segment, values in {OVERALL: whole, **dict(sorted(sums.items()))}.items()
        for expected in _expected(segment, values)
    )


def _sums(
    metric: MetricSpec, simulated: SimulationSpec, simulation: Simulation, customer: str
) -> tuple[str, ...]:
    """SQL: the sum of the expected outcome over customers; for an amount, also of its square."""
    chance = _chance(metric, simulated, simulation, customer)
    if simulated.amount is None:
        return (f"sum({chance})",)
    amount = f"coalesce({customer}.{simulated.amount}, 0e0)"
    return f"sum({chance} * {amount})", f"sum({chance} * {amount} * {amount})"


def _chance(
    metric: MetricSpec, simulated: SimulationSpec, simulation: Simulation, customer: str
) -> str:
    """SQL: a customer's chance of the metric's event."""
    rate = literal(float(getattr(simulation, simulated.rate))) if simulated.rate else "1e0"
    if simulated.after is None:
        return f"coalesce({customer}.{metric.covariate}, {rate})"
    before = BY_NAME[simulated.after]
    assert before.simulated is not None  # noqa: S101 - what is simulated after it needs it
    return f"{_chance(before, before.simulated, simulation, customer)} * {rate}"


def _expected(segment: str, values: tuple[float, ...]) -> Iterator[Expected]:
    customers, *sums = values
    means = iter(total / customers for total in sums)
    for metric, simulated in _EXPECTED.items():
        base, sd = next(means), None
        if simulated.amount is not None:
            sd = math.sqrt(max(next(means) * _SQUARE_OF_FACTORS - base * base, 0.0))
        yield Expected(
            segment=segment, metric=metric.name, base=base, sd=sd, customers=int(customers)
        )


def plan_power(expected: tuple[Expected, ...], experiment: Experiment) -> tuple[PlannedPower, ...]:
    """The detectable lift of each metric at the corrected significance level of one test.

    As in `measure`, the overall rows are one family of tests and the segment rows a second one.
    A family has every metric of the analysis plan, because the outcomes may have every column;
    fewer measured metrics raise the power. The first step of Holm's procedure tests at alpha
    divided by the number of tests.
    """
    segments = len({row.segment for row in expected} - {OVERALL})
    return tuple(
        _planned(
            row,
            experiment,
            tests=_tests(experiment) * (1 if row.segment == OVERALL else segments),
        )
        for row in expected
    )


def least_per_arm(expected: tuple[Expected, ...], experiment: Experiment) -> int | None:
    """Messages that must arrive in an arm to detect the `minimum_lift` of the primary metric."""
    primary = experiment.analysis.primary_metric
    row = next((e for e in expected if e.segment == OVERALL and e.metric == primary), None)
    return None if row is None else _needed(row, experiment.analysis, 1.0, _tests(experiment))


def _tests(experiment: Experiment) -> int:
    """The number of tests in the overall family."""
    return len(experiment.tones) * len(METRICS)


def _planned(row: Expected, experiment: Experiment, *, tests: int) -> PlannedPower:
    shares, analysis = experiment.arm_shares(), experiment.analysis
    smallest = min(share for arm, share in shares.items() if arm != CONTROL)
    arriving = row.customers * experiment.simulation.delivery_rate
    per_arm, control = int(arriving * smallest), int(arriving * shares[CONTROL])
    lift = needed = None
    if per_arm and control:
        lift = _smallest_lift(row, analysis, per_arm, control, tests)
    treated = _needed(row, analysis, smallest / shares[CONTROL], tests)
    if treated is not None:
        needed = math.ceil(treated / smallest / experiment.simulation.delivery_rate)
    return PlannedPower(
        segment=row.segment,
        metric=row.metric,
        base_rate=round(row.base, 6),
        per_arm=per_arm,
        control=control,
        alpha=alpha_per_test(analysis.alpha, tests, analysis.correction),
        smallest_lift=None if lift is None else round(lift, 6),
        customers_needed=needed,
    )


def _smallest_lift(
    row: Expected, analysis: Analysis, per_arm: int, control: int, tests: int
) -> float | None:
    alpha = alpha_per_test(analysis.alpha, tests, analysis.correction)
    if row.sd is None:
        if not 0 < row.base < 1:
            return None
        effect = smallest_detectable_effect(
            row.base, per_arm, control, alpha=alpha, power=analysis.power
        )
        return None if effect is None else effect / row.base
    # The variance of an arm needs two units.
    if not row.sd or not row.base or min(per_arm, control) < _MIN_UNITS_FOR_MEANS:
        return None
    difference = smallest_detectable_difference(
        row.sd, per_arm, control, alpha=alpha, power=analysis.power
    )
    return difference / row.base


def _needed(
    row: Expected, analysis: Analysis, treatment_per_control: float, tests: int
) -> int | None:
    """Units in the smallest treatment arm to detect the `minimum_lift`; None if impossible."""
    difference = row.base * analysis.minimum_lift
    levels = {
        "alpha": alpha_per_test(analysis.alpha, tests, analysis.correction),
        "power": analysis.power,
        "treatment_per_control": treatment_per_control,
    }
    try:
        if row.sd is None:
            return sample_size(row.base, difference, **levels)[0]
        return sample_size_of_means(row.sd, difference, **levels)[0]
    except InputError:
        # No event is expected, or the rate cannot rise so far.
        return None


def sentences(planned: Mapping[str, PlannedPower], customers: int, analysis: Analysis) -> list[str]:
    """Whether the campaign has enough customers: a sentence per metric, the primary one first.

    Args:
        planned: The overall rows by metric.
        customers: Number of eligible customers.
        analysis: Primary metric, power and smallest lift of interest.
    """
    primary = analysis.primary_metric
    order = sorted(planned, key=lambda metric: metric != primary)
    return [_sentence(planned[metric], customers, analysis) for metric in order]


def _sentence(row: PlannedPower, customers: int, analysis: Analysis) -> str:
    name = row.metric.replace("_", " ")
    name += " (primary)" if row.metric == analysis.primary_metric else ""
    wanted = f"{analysis.minimum_lift:+.0%}"
    if row.smallest_lift is None:
        return f"{name}: {customers:,} customers cannot detect any lift."
    found = f"a lift of {row.smallest_lift:+,.1%} or more with {analysis.power:.0%} power"
    if row.smallest_lift <= analysis.minimum_lift:
        return f"{name}: enough customers. {customers:,} detect {found}."
    needed = (
        f"detecting {wanted} takes about {row.customers_needed:,} customers"
        if row.customers_needed is not None
        else f"no number of customers can detect a lift of {wanted}"
    )
    return f"{name}: underpowered. {customers:,} customers detect only {found}; {needed}."


def segment_sentence(detectable: Iterable[PlannedPower], analysis: Analysis) -> str | None:
    """Which segments have enough customers on the primary metric; None without segments."""
    primary = analysis.primary_metric
    rows = [one for one in detectable if one.segment != OVERALL and one.metric == primary]
    if not rows:
        return None
    able = [
        one.segment
        for one in rows
        if one.smallest_lift is not None and one.smallest_lift <= analysis.minimum_lift
    ]
    name = f"by segment, {primary.replace('_', ' ')}"
    if len(able) == len(rows):
        return f"{name}: enough customers in every segment."
    if able:
        return f"{name}: enough customers only in {', '.join(able)}."
    known = [one for one in rows if one.customers_needed is not None]
    if not known:
        return f"{name}: not enough customers in any segment."
    nearest = min(known, key=lambda one: cast("int", one.customers_needed))
    return (
        f"{name}: not enough customers in any segment; the closest, {nearest.segment}, needs about "
        f"{nearest.customers_needed:,}."
    )
