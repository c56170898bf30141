"""Sufficient statistics of one metric in one group of units, and the lift of two rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from liftwright.errors import InputError

# Sums of squares have rounding errors; a spread below this share of the mean square is taken as 0.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A binary metric: units and how many of them had the event.

    Attributes:
        n: Units.
        events: Units with the event, 0 to `n`.
    """

    n: int
    events: int

    def __post_init__(self) -> None:
        """Refuse counts that no data can have.

        Raises:
            InputError: Not 0 <= events <= n.
        """
        if not 0 <= self.events <= self.n:
            message = f"counts: found {self.events} events of n {self.n}, allowed: 0 <= events <= n"
            raise InputError(message)

    @property
    def mean(self) -> float:
        """The rate; NaN without units."""
        return self.events / self.n if self.n else math.nan

    def __add__(self, other: Counts) -> Counts:
        """The counts of both groups together."""
        return Counts(n=self.n + other.n, events=self.events + other.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """A numeric metric: units, sum and sum of squares.

    Attributes:
        n: Units.
        total: Sum of the metric over the units, each less `origin`.
        total_sq: Sum of their squares.
        origin: A number near the values. Values far from 0 and close together are counted from it,
            or rounding errors of their squares would exceed their spread.
        values: How many units have each value, as (value, units), where the values are known.
    """

    n: int
    total: float
    total_sq: float
    origin: float = 0.0
    values: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        """Refuse sums that no data can have.

        Raises:
            InputError: A negative n, a sum that is not finite, a negative sum of squares.
        """
        _check_sums(self.n, (self.total, self.total_sq), (self.total_sq,))

    @property
    def mean(self) -> float:
        """The mean; NaN without units."""
        return self.origin + self.total / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """The sample variance (ddof 1); NaN below two units, exactly 0 for a constant."""
        return _covariance(self.n, self.total, self.total, self.total_sq, self.total_sq)

    @property
    def sd(self) -> float:
        """The sample standard deviation; NaN below two units."""
        return math.sqrt(self.variance)

    def __add__(self, other: Moments) -> Moments:
        """The moments of both groups together, about the first one's origin that has units."""
        if not self.n:
            return other
        if not other.n:
            return self
        shift = other.origin - self.origin
        return Moments(
            n=self.n + other.n,
            total=self.total + other.total + shift * other.n,
            total_sq=self.total_sq + other.total_sq + shift * (2 * other.total + shift * other.n),
            origin=self.origin,
            values=self.values + other.values if self.values and other.values else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioMoments:
    """A ratio of two sums over units, such as clicks per opened message.

    Attributes:
        n: Units.
        numerator: Sum of the numerator over the units.
        denominator: Sum of the denominator.
        numerator_sq: Sum of the numerator's squares.
        denominator_sq: Sum of the denominator's squares.
        product: Sum of numerator times denominator.
    """

    n: int
    numerator: float
    denominator: float
    numerator_sq: float
    denominator_sq: float
    product: float

    def __post_init__(self) -> None:
        """Refuse sums that no data can have.

        Raises:
            InputError: A negative n, a sum that is not finite, a negative sum of squares.
        """
        squares = (self.numerator_sq, self.denominator_sq)
        _check_sums(self.n, (self.numerator, self.denominator, self.product, *squares), squares)

    @property
    def mean(self) -> float:
        """Numerator over denominator; NaN where the denominator is 0."""
        return self.numerator / self.denominator if self.denominator else math.nan

    def residual_variance(self, ratio: float) -> float:
        """Sample variance of numerator - ratio * denominator; NaN below two units."""
        total = self.numerator - ratio * self.denominator
        parts = (
            self.numerator_sq,
            -2.0 * ratio * self.product,
            ratio * ratio * self.denominator_sq,
        )
        return _covariance(self.n, total, total, sum(parts), sum(map(abs, parts)))

    @property
    def sd(self) -> float:
        """Spread of one unit's share in the ratio (delta method); NaN where it has none.

        Source: Deng, Knoblich, Lu (2018), Applying the Delta Method in Metric Analytics.
        """
        if self.n < 2 or not self.denominator:  # noqa: PLR2004 - a variance needs two units
            return math.nan
        return math.sqrt(self.residual_variance(self.mean)) / abs(self.denominator / self.n)

    def __add__(self, other: RatioMoments) -> RatioMoments:
        """The moments of both groups together."""
        return RatioMoments(
            n=self.n + other.n,
            numerator=self.numerator + other.numerator,
            denominator=self.denominator + other.denominator,
            numerator_sq=self.numerator_sq + other.numerator_sq,
            denominator_sq=self.denominator_sq + other.denominator_sq,
            product=self.product + other.product,
        )


AnyMoments: TypeAlias = Moments | RatioMoments
SufficientStatistics: TypeAlias = Counts | Moments | RatioMoments


def calculate_lift(treatment: float, control: float) -> float:
    """Relative lift of treatment over control, in percent, rounded to 10 decimals.

    Args:
        treatment: Rate or mean of the treatment arm.
        control: Rate or mean of the control arm.

    Returns:
        100 * (treatment / control - 1); 0.30 over 0.25 is 20.0.

    Raises:
        InputError: The control is 0, or a value is not finite: there is no lift.
    """
    if not (math.isfinite(treatment) and math.isfinite(control)):
        message = f"lift: found treatment {treatment}, control {control}, allowed: finite numbers"
        raise InputError(message)
    if control == 0:
        message = "lift: found control 0, allowed: a control other than 0"
        raise InputError(message)
    return round(100.0 * (treatment - control) / control, 10)


def _check_sums(n: int, sums: tuple[float, ...], squares: tuple[float, ...]) -> None:
    if n < 0 or not all(map(math.isfinite, sums)) or min(squares) < 0:
        message = (
            f"moments: found n {n}, sums {sums}, allowed: n >= 0, finite sums, sums of squares >= 0"
        )
        raise InputError(message)


def _covariance(n: int, total_a: float, total_b: float, product: float, scale: float) -> float:
    if n < 2:  # noqa: PLR2004 - a variance needs two units
        return math.nan
    centred = product - total_a * total_b / n
    return centred / (n - 1) if centred > _ROUNDING * scale else 0.0
