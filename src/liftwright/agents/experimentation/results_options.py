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
_SHARES_SUM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as it was asked for; `kind` None lets the values decide.

    Attributes:
        column: what is measured; of a ratio, the numerator.
        denominator: the column below the line, of a ratio.
        covariate: a column known before the experiment, for CUPED.
    """

    name: str
    column: str
    kind: Kind | None = None
    denominator: str | None = None
    covariate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of the file say what; None where the file has none.

    Attributes:
        exposed: whether the unit met the treatment, such as a delivered message.
        time: when the unit was assigned.
        covariate_time: when its covariates were measured.
    """

    arm: str
    unit: str | None = None
    segment: str | None = None
    count: str | None = None
    exposed: str | None = None
    time: str | None = None
    covariate_time: str | None = None


def parse_metric(text: str) -> Metric:
    """A metric from `NAME`, `NAME:binary`, `NAME:mean` or `NAME=NUM/DEN:ratio`.

    The name is cut at its last colon only where a kind follows.

    Raises:
        InputError: where a ratio has no two columns, or another kind has them.
    """
    name, kind = text, None
    head, colon, tail = text.rpartition(":")
    if colon and tail in KINDS:
        name, kind = head, tail
    if kind != "ratio":
        if not name:
            raise InputError(f"--metric {text!r}: the name is empty")
        return Metric(name=name, column=name, kind=kind)
    label, equals, columns = name.partition("=")
    numerator, slash, denominator = columns.partition("/")
    if not (equals and slash and label and numerator and denominator):
        raise InputError(f"--metric {text!r}: allowed for a ratio: NAME=NUM/DEN:ratio")
    return Metric(name=label, column=numerator, kind="ratio", denominator=denominator)


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
