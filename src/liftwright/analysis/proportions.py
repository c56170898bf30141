"""Binary metrics: treatment against control, plain or stratified, many contrasts at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from liftwright.analysis.estimates import CONSTANT, NO_CONTROL_EVENT, Estimate, empty_estimate
from liftwright.analysis.means import estimate_means
from liftwright.analysis.moments import Counts, Moments
from liftwright.analysis.score import (
    ContingencyTables,
    score_interval_of_difference,
    score_interval_of_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Strata = Sequence[tuple[Counts, Counts]]

TestType = Literal["auto", "chi_square", "fisher", "welch"]

# Below this expected count the normal approximation gives way to the exact test (Cochran 1954;
# its form for strata is that of Mantel and Fleiss 1980).
_MIN_EXPECTED = 5.0
# Equal probabilities of two tables differ in their last bits.
_TIE = 1.0 + 1e-7


def estimate_proportions(
    rows: Sequence[Strata], *, alpha: float, test_type: TestType = "auto", stratified: bool
) -> list[Estimate]:
    """Estimate many contrasts at once; one row is one contrast.

    Args:
        rows: The strata of each contrast: pairs of treatment and control counts.
        alpha: 1 - level of the intervals.
        test_type: "auto" is the pooled z test, over strata Cochran, Mantel and Haenszel's without
            continuity correction; "chi_square" the same under its other name. Both give way to
            the exact test where expected counts are few. "fisher" is always the exact test,
            "welch" Welch's t test on the values 0 and 1.
        stratified: False takes the plain estimators, of one stratum each.

    Returns:
        One estimate per row, in order: Newcombe's interval of the difference (stratified score
        intervals over strata) and the score interval of the lift. Without a stratum that has both
        arms, all values are None.

    Source: Newcombe (1998), Statistics in Medicine 17, method 10; Koopman (1984), Biometrics 40;
        Mantel, Haenszel (1959); Miettinen, Nurminen (1985), Statistics in Medicine 4; Mantel,
        Fleiss (1980), American Journal of Epidemiology 112.
    """
    kept = [[pair for pair in row if pair[0].n and pair[1].n] for row in rows]
    full = [row for row in kept if row]
    estimates = iter(_estimate(full, alpha, test_type, stratified=stratified) if full else ())
    return [next(estimates) if row else empty_estimate() for row in kept]


def newcombe_interval(tables: ContingencyTables, z: float) -> tuple[Array, Array]:
    """Newcombe's hybrid score interval of p1 - p0, for rows of one stratum.

    Source: Newcombe (1998), Statistics in Medicine 17:873-890, method 10.
    """
    import numpy as np

    p1, p0 = tables.rates()
    low1, high1 = _wilson(tables.x1[:, 0], tables.n1[:, 0], z)
    low0, high0 = _wilson(tables.x0[:, 0], tables.n0[:, 0], z)
    lower = p1 - p0 - np.hypot(p1 - low1, high0 - p0)
    upper = p1 - p0 + np.hypot(high1 - p1, p0 - low0)
    return lower, upper


class _Tests(NamedTuple):
    p_values: list[float | None]
    names: list[str | None]


def _estimate(
    rows: list[list[tuple[Counts, Counts]]], alpha: float, test_type: TestType, *, stratified: bool
) -> list[Estimate]:
    from scipy.special import ndtri

    tables = _as_tables(rows)
    z = float(-ndtri(alpha / 2.0))
    treatment, control = tables.rates()
    interval = score_interval_of_difference if stratified else newcombe_interval
    lower, upper = (limit.clip(-1.0, 1.0) for limit in interval(tables, z))
    room = _room(tables)
    lifts = _lift_intervals(tables, control > 0, room < _MIN_EXPECTED, z)
    tests = _tests(rows, tables, room, test_type, stratified=stratified)
    return [
        Estimate(
            n_treatment=sum(pair[0].n for pair in row),
            n_control=sum(pair[1].n for pair in row),
            treatment=float(treatment[i]),
            control=float(control[i]),
            difference=float(treatment[i] - control[i]),
            difference_ci=(float(lower[i]), float(upper[i])),
            lift=float(treatment[i] / control[i]) - 1.0 if lifts[i] else None,
            lift_ci=lifts[i],
            p_value=tests.p_values[i],
            test=tests.names[i],
            warnings=(
                *(() if lifts[i] else (NO_CONTROL_EVENT,)),
                *((CONSTANT,) if tests.p_values[i] is None else ()),
            ),
        )
        for i, row in enumerate(rows)
    ]


def _as_tables(rows: list[list[tuple[Counts, Counts]]]) -> ContingencyTables:
    import numpy as np

    width = max(map(len, rows))
    cells = np.zeros((4, len(rows), width))
    cells[0] = cells[2] = 1.0
    weight = np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        values = [(one.n, one.events, zero.n, zero.events) for one, zero in row]
        cells[:, i, : len(row)] = np.array(values, dtype=np.float64).T
        n1, n0 = cells[0, i, : len(row)], cells[2, i, : len(row)]
        weight[i, : len(row)] = n1 * n0 / (n1 + n0)
    return ContingencyTables(cells[0], cells[1], cells[2], cells[3], weight)


def _wilson(events: Array, n: Array, z: float) -> tuple[Array, Array]:
    import numpy as np

    rate = events / n
    centre = (events + z * z / 2.0) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(n * rate * (1.0 - rate) + z * z / 4.0)
    return (
        np.where(events == 0, 0.0, centre - half),
        np.where(events == n, 1.0, centre + half),
    )


def _lift_intervals(
    tables: ContingencyTables, estimable: NDArray[np.bool_], few: NDArray[np.bool_], z: float
) -> list[tuple[float, float] | None]:
    intervals: list[tuple[float, float] | None] = [None] * len(estimable)
    where = estimable.nonzero()[0]
    if len(where):
        some = ContingencyTables(*(part[where] for part in tables))
        lower, upper = score_interval_of_ratio(some, z, few[where])
        for i, low, high in zip(where, lower, upper, strict=True):
            intervals[i] = (float(low) - 1.0, float(high) - 1.0)
    return intervals


def _room(tables: ContingencyTables) -> Array:
    """How far the treatment's expected events are from what the margins allow at most and least.

    With one stratum that is the smallest expected cell; 0 means that only one table is possible.

    Source: Mantel, Fleiss (1980), American Journal of Epidemiology 112.
    """
    import numpy as np

    events = tables.x1 + tables.x0
    expected = tables.n1 * events / (tables.n1 + tables.n0)
    below = (expected - np.maximum(0.0, events - tables.n0)).sum(axis=1)
    above = (np.minimum(tables.n1, events) - expected).sum(axis=1)
    return np.asarray(np.minimum(below, above))


def _tests(
    rows: list[list[tuple[Counts, Counts]]],
    tables: ContingencyTables,
    room: Array,
    test_type: TestType,
    *,
    stratified: bool,
) -> _Tests:
    import numpy as np

    if test_type == "welch":
        return _welch_tests(rows, stratified=stratified)
    units = tables.n1 + tables.n0
    events = tables.x1 + tables.x0
    variance = tables.weight * events / units * (1.0 - events / units)
    if stratified:
        variance = variance * units / np.maximum(units - 1.0, 1.0)
    deviation = (tables.x1 - tables.n1 * events / units).sum(axis=1)
    spread = variance.sum(axis=1)
    scores = np.abs(deviation) / np.sqrt(np.where(spread > 0, spread, 1.0))
    normal = _test_name(test_type, stratified=stratified)
    exact = "exact conditional" if stratified else "Fisher exact"
    found: list[tuple[float | None, str | None]] = []
    for row, space, score in zip(rows, room, scores, strict=True):
        if space <= 0:
            found.append((None, None))
        elif test_type == "fisher" or space < _MIN_EXPECTED:
            found.append((exact_p_value(row), exact))
        else:
            found.append((math.erfc(float(score) / math.sqrt(2.0)), normal))
    return _Tests([p for p, _ in found], [name for _, name in found])


def _test_name(test_type: TestType, *, stratified: bool) -> str:
    if stratified:
        return "Cochran-Mantel-Haenszel"
    return "chi-square" if test_type == "chi_square" else "pooled z"


def _welch_tests(rows: list[list[tuple[Counts, Counts]]], *, stratified: bool) -> _Tests:
    as_moments = [
        [(_moments_of(treatment), _moments_of(control)) for treatment, control in row]
        for row in rows
    ]
    estimates = estimate_means(as_moments, alpha=0.05, stratified=stratified)
    return _Tests([e.p_value for e in estimates], [e.test for e in estimates])


def _moments_of(counts: Counts) -> Moments:
    return Moments(
        n=counts.n,
        total=counts.events,
        total_sq=counts.events,
        values=((0.0, counts.n - counts.events), (1.0, counts.events)),
    )


def exact_p_value(strata: Sequence[tuple[Counts, Counts]]) -> float:
    """Two-sided exact p-value, given the margins of every stratum.

    With one stratum this is Fisher's exact test. The p-value is the sum of the probabilities of
    all totals that are no more likely than the observed one.

    Args:
        strata: Counts of treatment and control in each stratum.

    Source: Gart (1970), Point and interval estimation of the common odds ratio, Biometrika 57.
    """
    import numpy as np

    distribution: Array = np.ones(1)
    position = 0
    for treatment, control in strata:
        low, probabilities = _hypergeometric(treatment, control)
        distribution = np.convolve(distribution, probabilities)
        position += treatment.events - low
    return float(
        min(
            1.0,
            distribution[distribution <= distribution[position] * _TIE].sum() / distribution.sum(),
        )
    )


def _hypergeometric(treatment: Counts, control: Counts) -> tuple[int, Array]:
    """Least possible number of treatment events, and the probabilities from there on."""
    import numpy as np

    events = treatment.events + control.events
    low = max(0, events - control.n)
    high = min(treatment.n, events)
    k = np.arange(low, high, dtype=np.float64)
    steps = np.log((events - k) * (treatment.n - k)) - np.log(
        (k + 1.0) * (control.n - events + k + 1.0)
    )
    logs = np.concatenate((np.zeros(1), np.cumsum(steps)))
    weights = np.exp(logs - logs.max())
    return low, weights / weights.sum()
