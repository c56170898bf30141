"""Numbers as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_number(value: object) -> float:
    """A number of a JSON document; 0 for what is none."""
    return float(value) if isinstance(value, int | float) else 0.0


def value(value: float | None, kind: str) -> str:
    """A metric: a rate in percent, a mean as a number, a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.2%}" if kind == "binary" else f"{value:,.4g}"


def measure(value: object) -> str:
    """A measure of an evaluation, four decimals."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return "–" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A lift in percent with its sign."""
    return "not estimable" if value is None else f"{value:+.1%}"


def interval(ends: Sequence[float | None] | None) -> str:
    """The ends of an interval in percent; an open end is infinity."""
    if not ends or ends[0] is None:
        return "–"
    high = "∞" if ends[1] is None else f"{ends[1]:+.1%}"
    return f"{ends[0]:+.1%} to {high}"
