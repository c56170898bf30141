"""False-positive rate, coverage and power of every estimator, by simulation.

Run as `python benchmarks/estimators.py [DRAWS]`; prints one table per estimator. "given" is the
share of the draws in which the lift interval was estimable; its coverage is among those. "exact" is
the share in which an exact test took the place of the asymptotic one.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kstest

from liftwright.stats import (
    Counts,
    Estimate,
    Moments,
    RatioMoments,
    compare_means,
    compare_ratios,
    estimate_proportions,
    smallest_detectable_effect,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNITS = (25, 100, 500, 2_000, 10_000)
RATES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)
LIFTS = (0.0, 0.2, 0.5)
ALPHA = 0.05
HEADER = "  n/arm   rate  lift | rejected  difference  lift-ci  given  exact"


def main() -> None:
    """Print the tables."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    started = time.perf_counter()
    rng = np.random.default_rng(20_260_101)
    say(f"{draws} draws a row (2,000 at most for strata, means and ratios); alpha {ALPHA}")
    few = min(draws, 2_000)
    table("binary: pooled z or Fisher, Newcombe, score ratio", plain_rows(rng, draws))
    table("binary, 4 strata: CMH or exact, stratified score", stratified_rows(rng, few))
    table("mean, zero-inflated lognormal: Welch, Fieller", mean_rows(rng, few))
    table("ratio, clicks per opened: delta method, Fieller", ratio_rows(rng, few))
    power_table(rng, draws)
    uniformity(rng, draws)
    say(f"\n{time.perf_counter() - started:.0f} s")


def say(line: str) -> None:
    """Write one line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


Row = tuple[int, float, float, "list[tuple[int, Estimate]]", float, float]


def table(title: str, rows: Iterable[Row]) -> None:
    """Print one estimator: a line per cell of the grid, then the extremes."""
    say(f"\n{title}\n{HEADER}")
    false_positive, difference_cover, lift_cover = [], [], []
    for n, rate, lift, weighted, difference, ratio in rows:
        total = sum(weight for weight, _ in weighted)
        rejected = share(weighted, total, lambda e: e.p_value is not None and e.p_value < ALPHA)
        has_ci = sum(weight for weight, e in weighted if e.difference_ci)
        has_lift = sum(weight for weight, e in weighted if e.lift_ci)
        exact = share(weighted, total, lambda e: e.test in {"Fisher exact", "exact conditional"})
        cover = share(weighted, has_ci, lambda e, d=difference: holds(e.difference_ci, d))
        covered_lift = share(weighted, has_lift, lambda e, r=ratio: holds(e.lift_ci, r))
        say(
            f"{n:7d} {rate:6.3f} {lift:5.1f} | {rejected:8.4f} {cover:11.4f}"
            f" {covered_lift:8.4f} {has_lift / total:6.3f} {exact:6.3f}"
        )
        if lift == 0:
            false_positive.append(rejected)
        if has_ci > 0.2 * total:
            difference_cover.append(cover)
        if has_lift > 0.2 * total:
            lift_cover.append(covered_lift)
    say(
        f"extremes: rejected without effect <= {max(false_positive):.4f}; difference"
        f" {min(difference_cover):.4f} to {max(difference_cover):.4f}; lift (where a fifth of the"
        f" draws has one) {min(lift_cover):.4f} to {max(lift_cover):.4f}"
    )


def share(weighted: Sequence[tuple[int, Estimate]], total: int, test) -> float:  # noqa: ANN001
    """Weighted share of the estimates that pass; NaN of none."""
    return sum(weight for weight, e in weighted if test(e)) / total if total else float("nan")


def holds(interval: tuple[float, float] | None, truth: float) -> bool:
    """Whether the interval covers the truth."""
    return interval is not None and interval[0] <= truth <= interval[1]


def plain_rows(rng: np.random.Generator, draws: int) -> Iterable[Row]:
    """Two binomial arms of one size."""
    for n in UNITS:
        for rate in RATES:
            for lift in LIFTS:
                x1 = rng.binomial(n, rate * (1 + lift), draws)
                x0 = rng.binomial(n, rate, draws)
                seen = Counter(zip(x1.tolist(), x0.tolist(), strict=True))
                pairs = [[(Counts(n=n, events=a), Counts(n=n, events=b))] for a, b in seen]
                estimates = estimate_proportions(pairs, alpha=ALPHA, stratified=False)
                yield (
                    n,
                    rate,
                    lift,
                    list(zip(seen.values(), estimates, strict=True)),
                    rate * lift,
                    lift,
                )


def stratified_rows(rng: np.random.Generator, draws: int) -> Iterable[Row]:
    """Four strata of unequal size and rate, assigned within one unit of balance."""
    sizes, factors = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.8, 1.2, 1.1])
    for n in UNITS:
        n1 = np.maximum(1, np.round(n * sizes)).astype(int)
        n0 = n1 + np.array([0, 1, 0, -1])
        weight = n1 * n0 / (n1 + n0)
        for rate in RATES:
            for lift in LIFTS:
                q0 = rate * factors
                q1 = q0 * (1 + lift)
                x1 = rng.binomial(n1, q1, (draws, 4)).tolist()
                x0 = rng.binomial(n0, q0, (draws, 4)).tolist()
                rows = [
                    [
                        (Counts(n=int(a), events=x), Counts(n=int(b), events=y))
                        for a, x, b, y in zip(n1, one, n0, zero, strict=True)
                    ]
                    for one, zero in zip(x1, x0, strict=True)
                ]
                estimates = estimate_proportions(rows, alpha=ALPHA, stratified=True)
                truth = float((weight * (q1 - q0)).sum() / weight.sum())
                yield n, rate, lift, [(1, e) for e in estimates], truth, lift


def mean_rows(rng: np.random.Generator, draws: int) -> Iterable[Row]:
    """Revenue: most units have none, the others a lognormal amount with sd of logs 0.8."""
    sigma = 0.8
    amount = float(np.exp(sigma**2 / 2))

    def draw(n: int, rate: float) -> Moments:
        values = np.exp(sigma * rng.standard_normal(rng.binomial(n, rate)))
        return Moments(n=n, total=float(values.sum()), total_sq=float((values**2).sum()))

    for n in UNITS:
        for rate in RATES:
            for lift in (0.0, 0.5):
                found = [
                    (1, compare_means(draw(n, rate * (1 + lift)), draw(n, rate)))
                    for _ in range(draws)
                ]
                yield n, rate, lift, found, amount * rate * lift, lift


def ratio_rows(rng: np.random.Generator, draws: int) -> Iterable[Row]:
    """Clicks per opened message; the rate is that of opening, 30 % of the openers click."""

    def draw(n: int, opened: float, clicked: float) -> RatioMoments:
        opens = int(rng.binomial(n, opened))
        clicks = int(rng.binomial(opens, clicked))
        return RatioMoments(
            n=n,
            numerator=clicks,
            denominator=opens,
            numerator_sq=clicks,
            denominator_sq=opens,
            product=clicks,
        )

    for n in UNITS:
        for rate in RATES:
            for lift in (0.0, 0.5):
                found = [
                    (1, compare_ratios(draw(n, rate, 0.3 * (1 + lift)), draw(n, rate, 0.3)))
                    for _ in range(draws)
                ]
                yield n, rate, lift, found, 0.3 * lift, lift


def power_table(rng: np.random.Generator, draws: int) -> None:
    """Share of rejections at the smallest detectable effect, which promises 80 %."""
    say("\npower at the smallest detectable effect (promised 0.8)\n  n/arm   rate  effect   found")
    for n in UNITS[1:]:
        for rate in RATES[2:]:
            effect = smallest_detectable_effect(rate, n, n, alpha=ALPHA, power=0.8)
            if effect is None:
                continue
            x1, x0 = rng.binomial(n, rate + effect, draws), rng.binomial(n, rate, draws)
            rows = [
                [(Counts(n=n, events=a), Counts(n=n, events=b))]
                for a, b in zip(x1.tolist(), x0.tolist(), strict=True)
            ]
            estimates = estimate_proportions(rows, alpha=ALPHA, stratified=False)
            found = share([(1, e) for e in estimates], draws, lambda e: (e.p_value or 1) < ALPHA)
            say(f"{n:7d} {rate:6.3f} {effect:7.4f} {found:7.4f}")


def uniformity(rng: np.random.Generator, draws: int) -> None:
    """Kolmogorov-Smirnov test that p-values without an effect are uniform."""
    n, rate = 200_000, 0.2
    x1, x0 = rng.binomial(n, rate, draws), rng.binomial(n, rate, draws)
    rows = [
        [(Counts(n=n, events=a), Counts(n=n, events=b))]
        for a, b in zip(x1.tolist(), x0.tolist(), strict=True)
    ]
    estimates = estimate_proportions(rows, alpha=ALPHA, stratified=False)
    p = kstest([e.p_value for e in estimates], "uniform").pvalue
    say(f"\np-values without effect against uniform, {n} per arm: Kolmogorov-Smirnov p = {p:.3f}")


if __name__ == "__main__":
    main()
