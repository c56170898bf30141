"""Whether a comparison can be trusted: sample-ratio mismatch, and units seen in two arms."""

from __future__ import annotations

import math
from shlex import quote
from typing import TYPE_CHECKING

from liftwright.analysis.proportions import exact_p_value
from liftwright.analysis.result import MultipleExposure, SampleRatioCheck
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.analysis.moments import Counts

# The check runs before every result and a failure withholds it, so it is tested at 1 %.
SRM_ALPHA = 0.01

_MIN_EXPECTED = 5.0
_DRAWS = 9_999
_MAX_ARMS_SIMULATED = 100
# Shares that people plan are multiples of one of these fractions.
_SIMPLE_FRACTIONS = (2, 3, 4, 5, 6, 8, 10, 20)
_MIN_TESTED_UNITS = 20
_EXPOSURE_ALPHA = 0.01
MULTIPLE_EXPOSURE_SHARE = 0.01


def check_srm(observed: Mapping[str, int], expected: Mapping[str, float]) -> SampleRatioCheck:
    """Test the sizes of the arms against their planned shares.

    Args:
        observed: Units of each arm; an arm that is missing has none.
        expected: Shares, weights or expected counts of each arm, of any sum: they are scaled to
            the observed total. For a stratified design give the sums of the strata's expected
            counts. An arm that is missing has a share of 0.

    Returns:
        The chi-square test with k - 1 degrees of freedom; where an expected count is under 5, its
        p-value comes from 9,999 multinomial draws with a fixed seed.

    Raises:
        InputError: A share or count that is negative or not finite, or no share above 0.

    Source: Fabijan et al. (2019), Diagnosing Sample Ratio Mismatch in Online Controlled
        Experiments, KDD.
    """
    arms = [*observed, *(arm for arm in expected if arm not in observed)]
    counts = [observed.get(arm, 0) for arm in arms]
    weights = [expected.get(arm, 0.0) for arm in arms]
    for arm, value in (*zip(arms, counts, strict=True), *zip(arms, weights, strict=True)):
        if not (math.isfinite(value) and value >= 0):
            message = f"srm: arm {arm!r}: found {value}, allowed: a finite number, 0 or more"
            raise InputError(message)
    if not sum(weights) > 0:
        message = "srm: found no arm with a share above 0, allowed: at least one"
        raise InputError(message)
    scale = sum(counts) / math.fsum(weights)
    planned = [weight * scale for weight in weights]
    return _check(arms, counts, planned, _p_value([(counts, planned)]))


def check_srm_over_segments(
    segments: Sequence[tuple[Mapping[str, int], Mapping[str, float]]],
) -> SampleRatioCheck:
    """Test the sizes of the arms in all segments together, where shares differ by segment.

    Args:
        segments: Units of each arm, and its share, in each segment.

    Returns:
        The sum of the segments' chi-square statistics, with the sum of their degrees of freedom.
        `observed` and `expected` are sums over the segments.
    """
    checks = [check_srm(observed, expected) for observed, expected in segments]
    arms = list(dict.fromkeys(arm for check in checks for arm in check.observed))
    p_value = _p_value(
        [(list(check.observed.values()), list(check.expected.values())) for check in checks]
    )
    counts = [sum(check.observed.get(arm, 0) for check in checks) for arm in arms]
    planned = [math.fsum(check.expected.get(arm, 0.0) for check in checks) for arm in arms]
    return _check(arms, counts, planned, p_value)


def _check(
    arms: Sequence[str], observed: Sequence[int], expected: Sequence[float], p_value: float | None
) -> SampleRatioCheck:
    return SampleRatioCheck(
        p_value=p_value,
        ok=p_value is not None and p_value >= SRM_ALPHA,
        observed=dict(zip(arms, observed, strict=True)),
        expected=dict(zip(arms, expected, strict=True)),
    )


def explain_mismatch(
    overall: SampleRatioCheck, segments: Mapping[str, SampleRatioCheck]
) -> str | None:
    """A simple explanation of a failed check: other shares than those that were given.

    Args:
        overall: The failed check.
        segments: The checks by segment, if there are any.

    Returns:
        A question that names the shares which the sizes agree with; None if no simple ones do.
    """
    simple = _simple_shares(overall.observed)
    if simple is not None and all(
        check_srm(check.observed, simple).ok for check in segments.values()
    ):
        return f"did you mean {_percents(simple)}? ({_as_options(simple)})"
    by_segment = {name: _simple_shares(check.observed) for name, check in segments.items()}
    known = {name: shares for name, shares in by_segment.items() if shares is not None}
    if known and len(known) == len(by_segment):
        shown = "; ".join(f"{name}: {_percents(shares)}" for name, shares in known.items())
        return f"do the shares differ by segment? ({shown}; give them with --share-by FILE)"
    return None


def _simple_shares(observed: Mapping[str, int]) -> dict[str, float] | None:
    """The simplest shares that the sizes agree with."""
    total = sum(observed.values())
    for parts in _SIMPLE_FRACTIONS:
        counts = {arm: round(units / total * parts) for arm, units in observed.items()}
        if sum(counts.values()) == parts and all(counts.values()):
            shares = {arm: count / parts for arm, count in counts.items()}
            if check_srm(observed, shares).ok:
                return shares
    return None


def _percents(shares: Mapping[str, float]) -> str:
    return "/".join(f"{100.0 * share:.3g}" for share in shares.values())


def _as_options(shares: Mapping[str, float]) -> str:
    if len(set(shares.values())) == 1:
        return "equal shares are the default"
    return " ".join(f"--share {quote(f'{arm}={share:.10g}')}" for arm, share in shares.items())


def check_multiple_exposure(
    exposed: Counts, others: Counts, *, units: int, total: int, most: float
) -> MultipleExposure:
    """Judge the units that were seen in two or more arms.

    Args:
        exposed: Their outcomes on the primary metric, where known.
        others: The outcomes of the units seen in one arm.
        units: Number of units seen in two or more arms.
        total: Number of all units.
        most: The largest share of them that is tolerated.

    Returns:
        Not ok above that share, or if Fisher's exact test of at least 20 of them gives p < 0.01.
    """
    p_value = None
    if exposed.n >= _MIN_TESTED_UNITS and others.n:
        p_value = exact_p_value([(exposed, others)])
    share = units / total if total else 0.0
    return MultipleExposure(
        units=units,
        share=share,
        ok=share <= most and (p_value is None or p_value >= _EXPOSURE_ALPHA),
        p_value=p_value,
    )


def _p_value(tables: Sequence[tuple[Sequence[int], Sequence[float]]]) -> float | None:
    """p-value of the sum of the chi-square statistics of observed and expected counts."""
    from scipy.special import chdtrc

    tables = [(observed, planned) for observed, planned in tables if sum(observed)]
    if not tables:
        return None
    pairs = [pair for table in tables for pair in zip(*table, strict=True)]
    if any(count and not planned for count, planned in pairs):
        return 0.0
    known = [(count, planned) for count, planned in pairs if planned]
    df = len(known) - len(tables)
    if not df:
        return 1.0
    statistic = math.fsum((o - e) ** 2 / e for o, e in known)
    if len(known) <= _MAX_ARMS_SIMULATED and min(e for _, e in known) < _MIN_EXPECTED:
        return _drawn_p_value(statistic, list(_totals(tables)))
    return float(chdtrc(df, statistic))


def _totals(
    tables: Sequence[tuple[Sequence[int], Sequence[float]]],
) -> Iterator[tuple[int, list[float]]]:
    for observed, expected in tables:
        yield sum(observed), [planned for planned in expected if planned]


def _drawn_p_value(statistic: float, tables: Sequence[tuple[int, list[float]]]) -> float:
    import numpy as np

    generator, drawn = np.random.default_rng(0), np.zeros(_DRAWS)
    for total, expected in tables:
        planned = np.asarray(expected)
        draws = generator.multinomial(total, planned / planned.sum(), size=_DRAWS)
        drawn += ((draws - planned) ** 2 / planned).sum(axis=1)
    # Equal tables must tie in spite of rounding.
    extreme = int((drawn >= statistic * (1.0 - 1e-9) - 1e-12).sum())
    return (extreme + 1) / (_DRAWS + 1)
