"""False-positive rate, coverage and power of every estimator, by simulation; a few minutes.

    python benchmarks/estimators.py [--draws N] [--only NAME]

Each table has a row per arm size and a column per base rate. Cells with at least ten expected
events per arm are marked `*`: there the rejection rate of an asymptotic test must be between 4.5 %
and alpha + 2 standard errors, and the coverage of an interval between 93 and 97 %. Elsewhere the
limits are alpha + 2 standard errors and 93 %, for intervals that exist. The tables of
docs/statistics.md are this output.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import binom, kstest

from liftwright.agents.experimentation.cuped import CovariateSums, adjust
from liftwright.analysis import (
    Counts,
    Estimate,
    MetricSpec,
    Moments,
    RatioMoments,
    check_srm,
    compare,
    estimate_means,
    estimate_proportions,
    smallest_detectable_effect,
)
from liftwright.analysis.interactions import check_interaction
from liftwright.analysis.sequential import estimate_sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNITS = (25, 100, 500, 2_000, 10_000)
RATES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)
LIFTS = (0.0, 0.2, 0.5)
SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
ALPHA = 0.05
ENOUGH = 10
# Coverage is not reported for fewer intervals.
MIN_INTERVALS = 400
MIN_LEVEL, MIN_COVERAGE, MAX_COVERAGE, NOMINAL_POWER, TOLERANCE = 0.045, 0.93, 0.97, 0.8, 0.02
NEGLIGIBLE = 1e-9
Weighted = list[tuple[int, Estimate]]


class GridCell(NamedTuple):
    """The results of one cell of the grid.

    Attributes:
        rejected: Share of draws with p < alpha.
        difference: Coverage of the difference intervals.
        lift: Coverage of the lift intervals.
        given: Share of draws with a lift interval.
        events: Events per unit that the rate counts.
    """

    n: int
    rate: float
    effect: float
    draws: int
    rejected: float
    difference: float
    lift: float
    given: float
    events: float = 1.0

    @property
    def enough(self) -> bool:
        """Whether each arm expects ten events."""
        return self.n * self.rate * self.events >= ENOUGH - NEGLIGIBLE


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--only", help="run only this table, by the first word of its title")
    options = parser.parse_args()
    started = time.perf_counter()
    tables: dict[str, Callable[[np.random.Generator, int], None]] = {
        "binary": binary,
        "strata": strata,
        "mean": mean,
        "rare": rare_buyers,
        "ratio": ratio,
        "cuped": cuped,
        "winsorised": winsorised,
        "sequential": sequential,
        "interaction": interaction,
        "srm": srm,
        "power": power,
        "uniform": uniform,
    }
    print_line(f"alpha {ALPHA}; {options.draws:,} draws per cell without an effect, half with one")
    for name, run in tables.items():
        if options.only in (None, name):
            # Each table has its own seed, independent of the others.
            run(np.random.default_rng([2_026, *name.encode()]), options.draws)
    print_line(f"\n{time.perf_counter() - started:.0f} s")


def print_line(line: str) -> None:
    """Print and flush one line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# ── Tables ────────────────────────────────────────────────────────────────────────────────────


def cell(
    n: int, rate: float, effect: float, found: Weighted, truth: tuple[float, float]
) -> GridCell:
    """The shares of one cell; `truth` is the true difference and the true lift."""
    draws = sum(weight for weight, _ in found)
    differences = [(w, holds(e.difference_ci, truth[0])) for w, e in found if e.difference_ci]
    lifts = [(w, holds(e.lift_ci, truth[1])) for w, e in found if e.lift_ci]
    return GridCell(
        n=n,
        rate=rate,
        effect=effect,
        draws=draws,
        rejected=sum(w for w, e in found if e.p_value is not None and e.p_value < ALPHA) / draws,
        difference=covered(differences),
        lift=covered(lifts),
        given=sum(w for w, _ in lifts) / draws,
    )


def covered(seen: list[tuple[int, bool]]) -> float:
    """The coverage; NaN if there are too few intervals."""
    total = sum(weight for weight, _ in seen)
    return sum(w for w, hit in seen if hit) / total if total >= MIN_INTERVALS else math.nan


def holds(interval: tuple[float, float], truth: float) -> bool:
    """Whether the interval covers the truth."""
    return interval[0] <= truth <= interval[1]


def show(title: str, cells: list[GridCell], *, asymptotic: bool = True) -> None:
    """Print the grids of one estimator, and the cells outside the limits."""
    none = [one for one in cells if one.effect == 0]
    print_line(f"\n== {title}")
    grid("rejected without an effect", none, lambda found: found[0].rejected)
    if any(not math.isnan(one.difference) for one in cells):
        grid("lowest coverage, difference", cells, lambda found: least(c.difference for c in found))
        grid("lowest coverage, lift", cells, lambda found: least(c.lift for c in found))
        grid("lowest share with lift interval", cells, lambda found: min(c.given for c in found))
    bound = [ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / one.draws) for one in none]
    over = [
        f"{c.n}/{c.rate:g} {c.rejected:.4f}"
        for c, b in zip(none, bound, strict=True)
        if c.rejected > b
    ]
    print_line(f"above alpha + 2 standard errors ({bound[0]:.4f}): {', '.join(over) or 'none'}")
    under = [
        f"{c.n}/{c.rate:g} {c.rejected:.4f}" for c in none if c.enough and c.rejected < MIN_LEVEL
    ]
    if asymptotic:
        print_line(f"below 4.5 % with ten events per arm: {', '.join(under) or 'none'}")
    outside = [
        f"{what} {c.n}/{c.rate:g}+{c.effect:g} {value:.4f}"
        for c in cells
        for what, value in (("difference", c.difference), ("lift", c.lift))
        if value < MIN_COVERAGE or (c.enough and value > MAX_COVERAGE)
    ]
    print_line(
        f"coverage below 93 %, or above 97 % with ten events: {', '.join(outside) or 'none'}"
    )


def grid(title: str, cells: list[GridCell], of: Callable[[list[GridCell]], float]) -> None:
    """One number per size and rate."""
    rates = list(dict.fromkeys(one.rate for one in cells))
    print_line(f"{title:<32}" + "".join(f"{rate:>9.1%}" for rate in rates))
    for n in dict.fromkeys(one.n for one in cells):
        row = ""
        for rate in rates:
            found = [one for one in cells if (one.n, one.rate) == (n, rate)]
            value = of(found) if found else math.nan
            mark = "*" if found and found[0].enough else " "
            row += "        -" if math.isnan(value) else f"{value:8.4f}{mark}"
        print_line(f"{n:>32,}{row}")


def least(values: Iterator[float]) -> float:
    """The minimum, ignoring NaN; NaN if there is none."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def draws_of(draws: int, effect: float) -> int:
    """The number of draws of a cell: coverage needs fewer than a false-positive rate."""
    return draws if effect == 0 else max(draws // 2, 1)


# ── Estimators ────────────────────────────────────────────────────────────────────────────────


def binary(rng: np.random.Generator, draws: int) -> None:
    """Two binomial arms of equal size, and the exact level of the test."""
    cells = []
    for n in UNITS:
        for rate in RATES:
            for lift in LIFTS:
                size = draws_of(draws, lift)
                x1, x0 = rng.binomial(n, rate * (1 + lift), size), rng.binomial(n, rate, size)
                seen = Counter(zip(x1.tolist(), x0.tolist(), strict=True))
                found = plain(n, list(seen))
                weighted = list(zip(seen.values(), found, strict=True))
                cells.append(cell(n, rate, lift, weighted, (rate * lift, lift)))
    show("binary: pooled z or Fisher, Newcombe, score ratio", cells)
    print_line("rejected without an effect, by enumeration of all outcomes")
    exact = [
        GridCell(n, rate, 0.0, 1, level(n, rate), math.nan, math.nan, math.nan)
        for n in UNITS[:4]
        for rate in RATES
    ]
    grid("level of the test", exact, lambda found: found[0].rejected)


def plain(n: int, outcomes: list[tuple[int, int]]) -> list[Estimate]:
    """The estimates of two arms of equal size."""
    rows = [[(Counts(n=n, events=a), Counts(n=n, events=b))] for a, b in outcomes]
    return estimate_proportions(rows, alpha=ALPHA, stratified=False)


def level(n: int, rate: float) -> float:
    """The probability of rejecting without an effect, summed over all non-negligible outcomes."""
    law = binom.pmf(np.arange(n + 1), n, rate)
    likely = np.nonzero(law > NEGLIGIBLE)[0].tolist()
    outcomes = [(a, b) for a in likely for b in likely if a <= b]
    weights = np.array([law[a] * law[b] * (1 if a == b else 2) for a, b in outcomes])
    p_values = np.array([e.p_value if e.p_value is not None else 1.0 for e in plain(n, outcomes)])
    return float(weights[p_values < ALPHA].sum())


def strata(rng: np.random.Generator, draws: int) -> None:
    """Four strata of unequal size and rate, balanced to within one unit."""
    sizes, factors = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.8, 1.2, 1.1])
    cells = []
    for n in UNITS:
        n1 = np.maximum(1, np.round(n * sizes)).astype(int)
        n0 = n1 + np.array([0, 1, 0, -1])
        weight = n1 * n0 / (n1 + n0)
        for rate in RATES:
            for lift in (0.0, 0.5):
                q0 = rate * factors
                q1 = q0 * (1 + lift)
                size = draws_of(draws, lift)
                x1 = rng.binomial(n1, q1, (size, 4)).tolist()
                x0 = rng.binomial(n0, q0, (size, 4)).tolist()
                rows = [
                    [
                        (Counts(n=int(a), events=x), Counts(n=int(b), events=y))
                        for a, x, b, y in zip(n1, one, n0, zero, strict=True)
                    ]
                    for one, zero in zip(x1, x0, strict=True)
                ]
                found = estimate_proportions(rows, alpha=ALPHA, stratified=True)
                truth = float((weight * (q1 - q0)).sum() / weight.sum())
                cells.append(cell(n, rate, lift, [(1, e) for e in found], (truth, lift)))
    show("strata: Cochran-Mantel-Haenszel or exact, stratified score intervals", cells)


def spent(rng: np.random.Generator, n: int, rate: float, draws: int) -> list[Moments]:
    """Revenue: most units have none, the others a lognormal amount with log-sd 0.8."""
    buyers = rng.binomial(n, rate, draws)
    amounts = np.exp(0.8 * rng.standard_normal(int(buyers.sum())))
    draw = np.repeat(np.arange(draws), buyers)
    totals = np.bincount(draw, amounts, draws).tolist()
    squares = np.bincount(draw, amounts**2, draws).tolist()
    return [Moments(n=n, total=a, total_sq=b) for a, b in zip(totals, squares, strict=True)]


def mean(rng: np.random.Generator, draws: int) -> None:
    """Revenue of two arms of equal size."""
    amount = math.exp(0.32)
    cells = []
    for n in UNITS:
        for rate in RATES:
            for lift in (0.0, 0.5):
                size = draws_of(draws, lift)
                pairs = zip(
                    spent(rng, n, rate * (1 + lift), size), spent(rng, n, rate, size), strict=True
                )
                found = [(1, contrast(one, zero)) for one, zero in pairs]
                cells.append(cell(n, rate, lift, found, (amount * rate * lift, lift)))
    show("mean of revenue, rate of buyers: Welch, Fieller", cells)


def contrast(one: Moments | RatioMoments, zero: Moments | RatioMoments) -> Estimate:
    """The estimate of one plain contrast."""
    return estimate_means([[(one, zero)]], alpha=ALPHA, stratified=False)[0]


def rare_buyers(rng: np.random.Generator, draws: int) -> None:
    """Revenue of two arms of unequal size without an effect; buyers are few."""
    runs = max(draws // 10, 1)
    bound = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    print_line(
        f"\n== revenue with rare buyers and unequal shares: rejected of {runs:,} without an effect"
    )
    print_line(f"at most alpha + 2 standard errors is {bound:.4f}; in brackets: Welch's test alone")
    print_line(f"{'amounts':>12}{'units':>8}{'buyers':>8}" + "".join(f"{s:>17.0%}" for s in SHARES))
    amounts = {
        "equal": np.ones,
        "lognormal": lambda k: np.exp(rng.standard_normal(k)),
    }
    for name, draw in amounts.items():
        for units, rate in ((500, 0.02), (2_000, 0.01), (2_000, 0.05)):
            cells = []
            for share in SHARES:
                sizes = (round(units * share), units - round(units * share))
                pairs = [
                    tuple(bought(n, draw(rng.binomial(n, rate))) for n in sizes)
                    for _ in range(runs)
                ]
                bare = [tuple(replace(arm, values=()) for arm in pair) for pair in pairs]
                both = [
                    sum((contrast(*pair).p_value or 1) < ALPHA for pair in found) / runs
                    for found in (pairs, bare)
                ]
                cells.append(f"{both[0]:>9.4f} ({both[1]:.3f})")
            print_line(
                f"{name:>12}{units:>8,}{rate:>8.0%}" + "".join(f"{one:>17}" for one in cells)
            )


def bought(n: int, amounts: np.ndarray) -> Moments:
    """The moments of units of whom some bought."""
    return Moments(
        n=n,
        total=float(amounts.sum()),
        total_sq=float((amounts**2).sum()),
        values=((0.0, n - len(amounts)), *((float(one), 1) for one in amounts)),
    )


def ratio(rng: np.random.Generator, draws: int) -> None:
    """Clicks per opened message; the rate is the open rate, and 30 % of openers click."""

    def arm(n: int, opened: float, clicked: float, size: int) -> list[RatioMoments]:
        opens = rng.binomial(n, opened, size)
        clicks = rng.binomial(opens, clicked)
        return [
            RatioMoments(
                n=n, numerator=c, denominator=o, numerator_sq=c, denominator_sq=o, product=c
            )
            for c, o in zip(clicks.tolist(), opens.tolist(), strict=True)
        ]

    cells = []
    for n in UNITS:
        for rate in RATES:
            for lift in (0.0, 0.5):
                size = draws_of(draws, lift)
                pairs = zip(
                    arm(n, rate, 0.3 * (1 + lift), size), arm(n, rate, 0.3, size), strict=True
                )
                found = [(1, contrast(one, zero)) for one, zero in pairs]
                one = cell(n, rate, lift, found, (0.3 * lift, lift))
                # The ratio depends on the clicks: ten of them need 33 openers.
                cells.append(one._replace(events=0.3))
    show("ratio of clicks per open, rate of opening: delta method, Fieller", cells)


def cuped(rng: np.random.Generator, draws: int) -> None:
    """A mean with a covariate that explains a quarter of its variance, and one that is noise."""
    print_line("\n== CUPED without an effect: a covariate with correlation rho to the mean")
    print_line(
        f"{'rho':>10}{'n/arm':>10}{'rejected':>10}{'coverage':>10}{'variance taken away':>22}"
    )
    for rho in (0.0, 0.5, 0.9):
        for n in (25, 100, 1_000):
            rejected = hit = 0
            reduced = 0.0
            for _ in range(draws // 2):
                arms = [normal_sums(rng, arm, n, rho) for arm in ("a", "b")]
                adjusted = adjust("y", arms)
                row = compare(
                    adjusted.totals,
                    [MetricSpec(name="y", kind="mean")],
                    "a",
                    units={"a": n, "b": n},
                ).comparisons[0]
                ends = row.difference_ci
                rejected += (row.p_value or 1) < ALPHA
                hit += ends is not None and holds(ends, 0.0)
                reduced += adjusted.reduction
            total = draws // 2
            print_line(
                f"{rho:>10.1f}{n:>10,}{rejected / total:>10.4f}{hit / total:>10.4f}"
                f"{reduced / total:>22.3f}"
            )


def normal_sums(rng: np.random.Generator, arm: str, n: int, rho: float) -> CovariateSums:
    """Sums of n units whose x and y are normal with correlation rho, drawn by their laws."""
    mean_x, mean_y = rng.standard_normal(2) / math.sqrt(n)
    mean_y = rho * mean_x + math.sqrt(1 - rho**2) * mean_y
    # Bartlett decomposition of the Wishart distribution of the sums of products.
    a, b, c = (
        math.sqrt(rng.chisquare(n - 1)),
        rng.standard_normal(),
        math.sqrt(rng.chisquare(n - 2)),
    )
    low, side = rho, math.sqrt(1 - rho**2)
    xx, xy = a * a, a * (low * a + side * b)
    yy = (low * a + side * b) ** 2 + (side * c) ** 2
    y = float(n * mean_y)
    return CovariateSums(
        segment=None,
        arm=arm,
        n=n,
        y=y,
        yy=float(yy + n * mean_y**2),
        known=n,
        x=float(n * mean_x),
        xx=float(xx + n * mean_x**2),
        xy=float(xy + n * mean_x * mean_y),
        y_known=y,
    )


def winsorised(rng: np.random.Generator, draws: int) -> None:
    """Revenue with a heavy tail, capped at the 99th percentile of both arms' amounts."""
    print_line("\n== winsorised revenue, log-sd 1.6, capped at the 99th percentile of both arms")
    print_line(f"{'n/arm':>10}{'rate':>10}{'rejected':>10}{'uncapped':>10}")
    for n, rate in ((500, 0.1), (2_000, 0.05), (10_000, 0.02)):
        rejected = before = 0
        for _ in range(draws // 2):
            amounts = [np.exp(1.6 * rng.standard_normal(rng.binomial(n, rate))) for _ in "ab"]
            cap = np.quantile(np.concatenate(amounts), 0.99, method="inverted_cdf")
            for capped in (False, True):
                arms = []
                for values in amounts:
                    kept = np.minimum(values, cap) if capped else values
                    arms.append(
                        Moments(n=n, total=float(kept.sum()), total_sq=float((kept**2).sum()))
                    )
                low = (contrast(arms[0], arms[1]).p_value or 1) < ALPHA
                rejected += low and capped
                before += low and not capped
        total = draws // 2
        print_line(f"{n:>10,}{rate:>10.2f}{rejected / total:>10.4f}{before / total:>10.4f}")


def sequential(rng: np.random.Generator, draws: int) -> None:
    """Fifty looks at an experiment without an effect; any rejection counts."""
    runs = max(draws // 10, 1)
    print_line(
        f"\n== sequential: rejected at any of 50 looks up to 10,000 per arm, {runs:,} runs without "
        "an effect"
    )
    print_line(
        f"{'metric':>10}{'rate':>8}{'looks':>12}{'planned 2,000':>16}{'20,000':>10}{'200,000':>10}"
        f"{'one-look test':>16}"
    )
    for metric in ("rate", "revenue"):
        for rate in (0.02, 0.1, 0.4):
            for spacing in ("even", "early"):
                looks = (
                    np.geomspace(50, 10_000, 50)
                    if spacing == "early"
                    else np.linspace(200, 10_000, 50)
                )
                found = np.mean(
                    [peek(rng, metric, rate, looks.round().astype(int)) for _ in range(runs)],
                    axis=0,
                )
                print_line(
                    f"{metric:>10}{rate:>8.2f}{spacing:>12}{found[0]:>16.4f}{found[1]:>10.4f}"
                    f"{found[2]:>10.4f}{found[3]:>16.4f}"
                )


def peek(
    rng: np.random.Generator, metric: str, rate: float, looks: np.ndarray
) -> tuple[bool, bool, bool, bool]:
    """Whether any look rejects, for three planned sizes, and with the fixed-horizon test."""
    steps = np.diff(looks, prepend=0)
    events = rng.binomial(steps, rate, (2, len(steps)))
    arms: list[list[Counts]] | list[list[Moments]]
    if metric == "rate":
        counts = events.cumsum(axis=1).tolist()
        arms = [
            [Counts(n=n, events=x) for n, x in zip(looks.tolist(), arm, strict=True)]
            for arm in counts
        ]
    else:
        arms = [spending(rng, looks, arm) for arm in events]
    found = [False] * 4
    for one, zero in zip(*arms, strict=True):
        for which, planned in enumerate((2_000, 20_000, 200_000)):
            if not found[which]:
                p_value = estimate_sequence([(one, zero)], alpha=ALPHA, planned=planned).p_value
                found[which] = p_value is not None and p_value < ALPHA
        found[3] = found[3] or once(one, zero) < ALPHA
    return found[0], found[1], found[2], found[3]


def spending(rng: np.random.Generator, looks: np.ndarray, buyers: np.ndarray) -> list[Moments]:
    """Revenue up to each look; `buyers` are the new ones at each look."""
    amounts = np.exp(0.8 * rng.standard_normal(int(buyers.sum())))
    ends = buyers.cumsum()
    totals, squares = (np.concatenate(([0.0], v.cumsum()))[ends] for v in (amounts, amounts**2))
    return [
        Moments(n=n, total=float(a), total_sq=float(b))
        for n, a, b in zip(looks.tolist(), totals, squares, strict=True)
    ]


def once(one: Counts | Moments, zero: Counts | Moments) -> float:
    """The p-value of the fixed-horizon test."""
    if isinstance(one, Counts) and isinstance(zero, Counts):
        rate = (one.events + zero.events) / (one.n + zero.n)
        spread = math.sqrt(rate * (1 - rate) * (1 / one.n + 1 / zero.n))
        return math.erfc(abs(one.mean - zero.mean) / spread / math.sqrt(2)) if spread else 1.0
    if isinstance(one, Moments) and isinstance(zero, Moments):
        return contrast(one, zero).p_value or 1.0
    return 1.0


def interaction(rng: np.random.Generator, draws: int) -> None:
    """Four segments with the same non-zero effect (odds ratio or difference)."""
    factors = np.array([0.5, 0.8, 1.2, 1.5])
    print_line("\n== interaction: rejections if the effect is the same in four segments")
    print_line(f"{'test':>24}{'n/arm, segment':>16}{'rate':>8}{'rejected':>10}{'given':>8}")
    for n, rate in ((50, 0.2), (100, 0.1), (500, 0.02), (500, 0.1), (2_000, 0.02)):
        odds = 1.3 * rate * factors / (1 - rate * factors)
        x1 = rng.binomial(n, odds / (1 + odds), (draws // 2, 4)).tolist()
        x0 = rng.binomial(n, rate * factors, (draws // 2, 4)).tolist()
        found = [
            check_interaction(
                [
                    (Counts(n=n, events=a), Counts(n=n, events=b))
                    for a, b in zip(one, zero, strict=True)
                ]
            ).p_value
            for one, zero in zip(x1, x0, strict=True)
        ]
        print_interaction("Breslow-Day (Tarone)", n, rate, found)
    for n, rate in ((50, 0.2), (100, 0.1), (500, 0.1), (2_000, 0.02)):
        arms = [[spent(rng, n, float(rate * f), draws // 5) for f in factors] for _ in "ab"]
        found = [
            check_interaction([(arms[0][s][i], arms[1][s][i]) for s in range(4)]).p_value
            for i in range(draws // 5)
        ]
        print_interaction("Welch heterogeneity", n, rate, found)


def print_interaction(test: str, n: int, rate: float, p_values: list[float | None]) -> None:
    """Print one line of the interaction table."""
    known = [p for p in p_values if p is not None]
    rejected = sum(p < ALPHA for p in known) / max(len(known), 1)
    print_line(f"{test:>24}{n:>16,}{rate:>8.2f}{rejected:>10.4f}{len(known) / len(p_values):>8.3f}")


def srm(rng: np.random.Generator, draws: int) -> None:
    """Arms with the planned sizes; an alarm is p < 0.01."""
    print_line("\n== SRM: alarms at p < 0.01 if the arms are as planned")
    for shares in ((0.5, 0.5), (0.9, 0.1), (0.4, 0.2, 0.2, 0.2)):
        for n in (100, 10_000):
            size = draws if n * min(shares) >= 5 else draws // 10  # noqa: PLR2004 - drawn p-values
            seen = Counter(map(tuple, rng.multinomial(n, shares, size).tolist()))
            arms = [str(arm) for arm in range(len(shares))]
            planned = dict(zip(arms, shares, strict=True))
            alarms = sum(
                weight
                for counts, weight in seen.items()
                if not check_srm(dict(zip(arms, counts, strict=True)), planned).ok
            )
            print_line(f"{n:>10,}  {'/'.join(f'{s:g}' for s in shares):<20}{alarms / size:>10.4f}")


def power(rng: np.random.Generator, draws: int) -> None:
    """Rejections at the smallest detectable effect; the nominal power is 80 %."""
    cells = []
    for n in UNITS[1:]:
        for rate in RATES:
            effect = smallest_detectable_effect(rate, n, n, alpha=ALPHA, power=NOMINAL_POWER)
            if effect is None or n * rate < ENOUGH / 2:
                continue
            x1, x0 = rng.binomial(n, rate + effect, draws), rng.binomial(n, rate, draws)
            seen = Counter(zip(x1.tolist(), x0.tolist(), strict=True))
            found = list(zip(seen.values(), plain(n, list(seen)), strict=True))
            cells.append(cell(n, rate, effect, found, (effect, effect / rate)))
    print_line("\n== power at the smallest detectable effect, nominally 0.8")
    grid("power", cells, lambda found: found[0].rejected)
    outside = [
        f"{c.n}/{c.rate:g} {c.rejected:.4f}"
        for c in cells
        if abs(c.rejected - NOMINAL_POWER) > TOLERANCE
    ]
    print_line(f"off by more than 2 points: {', '.join(outside) or 'none'}")


def uniform(rng: np.random.Generator, draws: int) -> None:
    """Kolmogorov-Smirnov test that p-values without an effect are uniform."""
    n = 200_000
    print_line("\n== p-values without an effect against uniform: Kolmogorov-Smirnov")
    x1, x0 = rng.binomial(n, 0.2, draws), rng.binomial(n, 0.2, draws)
    found = plain(n, list(zip(x1.tolist(), x0.tolist(), strict=True)))
    print_line(f"{'pooled z':>28}{kstest([e.p_value for e in found], 'uniform').pvalue:>8.3f}")
    parts = np.array([20_000, 60_000, 120_000])
    y1 = rng.binomial(parts, [0.1, 0.2, 0.3], (draws, 3)).tolist()
    y0 = rng.binomial(parts, [0.1, 0.2, 0.3], (draws, 3)).tolist()
    rows = [
        [
            (Counts(n=int(k), events=a), Counts(n=int(k), events=b))
            for k, a, b in zip(parts, one, zero, strict=True)
        ]
        for one, zero in zip(y1, y0, strict=True)
    ]
    found = estimate_proportions(rows, alpha=ALPHA, stratified=True)
    fit = kstest([e.p_value for e in found], "uniform")
    print_line(f"{'Cochran-Mantel-Haenszel':>28}{fit.pvalue:>8.3f}")
    pairs = zip(spent(rng, 2_000, 0.2, draws), spent(rng, 2_000, 0.2, draws), strict=True)
    means = [contrast(one, zero).p_value for one, zero in pairs]
    print_line(f"{'Welch':>28}{kstest(means, 'uniform').pvalue:>8.3f}")


if __name__ == "__main__":
    main()
