"""Number formats for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.analysis.result import Interval

# From this lift on, decimals are omitted.
_TENFOLD = 10.0


def as_number(value: object) -> float:
    """A number from a JSON document; 0 if it is not a number."""
    return float(value) if isinstance(value, int | float) else 0.0


def count_noun(count: int, noun: str) -> str:
    """A count with its noun in the singular or plural."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def value(value: float | None, kind: str) -> str:
    """A metric: a rate in percent, a mean as a number, a dash for None."""
    if value is None:
        return "–"
    return f"{value:.2%}" if kind == "binary" else figure(value, 4)


def figure(value: float, digits: int, sign: str = "") -> str:
    """A number with significant digits and thousands separators; `sign` "+" always signs it."""
    if value == 0:
        return "0"
    form = ",.0f" if abs(value) >= 10.0 ** (digits - 1) else f"#.{digits}g"
    return f"{value:{sign}{form}}"


def measure(value: object) -> str:
    """A measure of an evaluation, with four decimals."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return "–" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A signed lift in percent."""
    if value is None:
        return "not estimable"
    return f"{value:+,.0%}" if abs(value) >= _TENFOLD else f"{value:+.1%}"


def interval(ends: Interval | None) -> str:
    """An interval in percent; ∞ if unbounded."""
    if not ends or ends[0] is None:
        return "–"
    high = "∞" if ends[1] is None else percent(ends[1])
    return f"{percent(ends[0])} to {high}"


def difference(value: float | None, kind: str) -> str:
    """A signed difference; rates in percentage points."""
    if value is None:
        return "–"
    return f"{100 * value:+.2f} pts" if kind == "binary" else figure(value, 4, "+")


def difference_interval(ends: Interval | None, kind: str) -> str:
    """The interval of a difference; rates in percentage points."""
    if ends is None:
        return "–"
    low, high = (
        infinite
        if end is None
        else f"{100 * end:+.2f}"
        if kind == "binary"
        else figure(end, 3, "+")
        for end, infinite in zip(ends, ("-∞", "∞"), strict=True)
    )
    return f"{low} to {high}"


def p_value(value: float | None) -> str:
    """A p-value; "<1e-300" if it underflows to 0."""
    if value is None:
        return "–"
    return f"{value:.3g}" if value > 0 else "<1e-300"
