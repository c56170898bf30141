"""What is measured, and where it stands in a file of results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["binary", "mean", "ratio"]
KINDS: tuple[Kind, ...] = ("binary", "mean", "ratio")
METRIC_FORMS = (
    "NAME",
    "NAME:binary",
    "NAME:mean",
    "NAME=NUM/DEN:ratio",
    "NAME=EVENTS/UNITS:binary",
    "NAME=MEAN,SD:mean",
)
_SECOND: dict[Kind, str] = {"binary": "UNITS", "mean": "SD", "ratio": "DEN"}
_CALLED: dict[Kind, str] = {
    "binary": "rate of events among units",
    "mean": "mean with its standard deviation",
    "ratio": "ratio",
}
_SHARES_SUM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as it was asked for; `kind` None lets the values decide.

    Attributes:
        column: what is measured; of a ratio, the numerator; of a summary, the events or the mean.
        denominator: the column below the line, of a ratio; of a summary of events, the units.
        spread: the column of standard deviations, of a summary of means.
        covariate: a column known before the experiment, for CUPED.
    """

    name: str
    column: str
    kind: Kind | None = None
    denominator: str | None = None
    spread: str | None = None
    covariate: str | None = None

    @property
    def summed_up(self) -> bool:
        """Whether a row tells of many units by their events, or by their mean and spread."""
        return self.spread is not None or (self.kind == "binary" and self.denominator is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of the file say what; None where the file has none.

    Attributes:
        exposed: whether the unit met the treatment, such as a delivered message.
        time: when the unit was assigned.
        covariate_time: when its covariates were measured.
        within: whether the segments are experiments of their own: a unit may be in several.
    """

    arm: str
    unit: str | None = None
    segment: str | None = None
    count: str | None = None
    exposed: str | None = None
    time: str | None = None
    covariate_time: str | None = None
    within: bool = False


def parse_metric(text: str) -> Metric:
    """A metric from its text, one of `METRIC_FORMS`.

    The name is cut at its last colon only where a kind follows.

    Raises:
        InputError: where the text has none of the forms.
    """
    name, kind = text, None
    head, colon, tail = text.rpartition(":")
    if colon and tail in KINDS:
        name, kind = head, tail
    if kind is None:
        if not name:
            raise InputError(f"--metric {text!r}: the name is empty")
        return Metric(name=name, column=name)
    label, equals, columns = name.partition("=")
    sign = "," if kind == "mean" else "/"
    first, found, second = columns.partition(sign)
    if kind != "ratio" and not (equals and found):
        if not name.strip("="):
            raise InputError(f"--metric {text!r}: the name is empty")
        return Metric(name=name, column=name, kind=kind)
    if not (equals and found and label and first and second):
        form = next(form for form in METRIC_FORMS if form.endswith(f"{sign}{_SECOND[kind]}:{kind}"))
        raise InputError(f"--metric {text!r}: allowed for a {_CALLED[kind]}: {form}")
    if kind == "mean":
        return Metric(name=label, column=first, kind=kind, spread=second)
    return Metric(name=label, column=first, kind=kind, denominator=second)


def parse_shares(texts: Sequence[str]) -> dict[str, float] | None:
    """The intended shares from `ARM=S` each; None where none is given.

    Raises:
        InputError: where one is no number above 0, or they do not sum to 1.
    """
    shares: dict[str, float] = {}
    for text in texts:
        arm, equals, value = text.rpartition("=")
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if not equals or not arm or not share > 0:
            raise InputError(f"--share {text!r}: allowed: ARM=S with S above 0, as in B=0.5")
        shares[arm] = share
    if shares and abs(sum(shares.values()) - 1) > _SHARES_SUM:
        raise InputError(f"--share: the shares sum to {sum(shares.values()):g}; allowed is 1")
    return shares or None
