"""The arms of a results file: their names, and the shares that were planned for them."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.agents.experimentation.results_columns import unnamed
from liftwright.analysis import few
from liftwright.data import did_you_mean, identifier, literal
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from liftwright.data import Tables

_SHARES_SUM = 1e-6
# More of either are for a program; each arm is compared on each metric in each segment.
_MAX_ARMS, _MAX_NAMED = 200, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """What was planned for the arms.

    Attributes:
        control: Name of the control arm.
        shares: Share of each arm; None is equal shares.
        by_segment: Shares of the arms in each segment, if they differ by design.
        multiple_exposure: The largest tolerated share of units seen in two arms.
    """

    control: str
    shares: Mapping[str, float] | None = None
    by_segment: Mapping[str, Mapping[str, float]] | None = None
    multiple_exposure: float


class ArmNames:
    """One name per arm, however its rows, the control and the shares spell it."""

    def __init__(self, tables: Tables, table: str, column: str, intended: Intended) -> None:
        self._column = column
        rows = tables.rows(
            f"select trim({identifier(column)}), count(*) from {identifier(table)} "  # noqa: S608 - quoted
            f"where not {unnamed(column)} group by trim({identifier(column)}) "
            f"order by count(*) desc, trim({identifier(column)})"
        )
        self.names = [str(name) for name, _ in rows]
        given = [intended.control.strip(), *(intended.shares or ())]
        self._by_key: dict[str, str] = {}
        for name in [*(name for name in given if name in self.names), *self.names]:
            self._by_key.setdefault(name.casefold(), name)
        self.control = self(intended.control)
        merged: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.names):
            merged[self(name)].append(name)
        self.warnings = tuple(
            f"arm names that differ only by case were read as one arm: {', '.join(names)}"
            for names in merged.values()
            if len(names) > 1
        )

    def __call__(self, name: str) -> str:
        """The arm's name; a name that no row has stays as it is."""
        name = name.strip()
        return self._by_key.get(name.casefold(), name)

    def sql(self) -> str:
        """SQL: the arm's name in each row."""
        text = f"trim({identifier(self._column)})"
        other = [name for name in self.names if self(name) != name]
        cases = "".join(f"when {literal(name)} then {literal(self(name))} " for name in other)
        return f"case {text} {cases}else {text} end" if cases else text


def check_arms(
    column: str,
    arms: ArmNames,
    planned: Mapping[str, float] | None,
    units: Mapping[str, int],
) -> dict[str, float]:
    """The intended share of each arm, the control first.

    An arm with a share but no unit is an empty arm if all arms of the file have a share;
    otherwise its name was mistyped.
    """
    control = arms.control
    shares = {arms(arm): share for arm, share in planned.items()} if planned else None
    if control not in units:
        hint = (
            did_you_mean(control, tuple(units))
            or f"; the arms are: {few(tuple(units), _MAX_NAMED)}"
        )
        raise InputError(f"--control {control!r}: no such arm in the file{hint}")
    if len(units) > _MAX_ARMS:
        raise InputError(
            f"--arm {column!r}: found {len(units):,} arms, allowed: at most {_MAX_ARMS}; is "
            "it the right column?"
        )
    if len({*units, *(shares or ())}) == 1:
        raise InputError(
            f"--arm {column!r}: found only the arm {control!r}, allowed: at least two arms"
        )
    missing = [arm for arm in units if shares is not None and arm not in shares]
    for arm in shares or {}:
        if arm not in units and missing:
            hint = did_you_mean(arm, missing) or f"; without a share is: {few(missing, _MAX_NAMED)}"
            raise InputError(f"--share {arm!r}: no such arm in the file{hint}")
    if missing:
        raise InputError(f"--share: no share for arm {missing[0]!r}")
    given = shares or dict.fromkeys(units, 1 / len(units))
    return {
        control: given[control],
        **{arm: given[arm] for arm in (*units, *given)},
    }


def shares_of_segments(
    planned: Mapping[str, Mapping[str, float]] | None,
    arms: ArmNames,
    segments: Mapping[str, Mapping[str, int]],
) -> dict[str, dict[str, float]]:
    """The intended shares of each segment of the file; empty if they are the same in all."""
    if planned is None:
        return {}
    found = {}
    for segment, units in segments.items():
        if segment not in planned:
            hint = did_you_mean(segment, tuple(planned))
            raise InputError(f"--share-by: no shares for segment {segment!r}{hint}")
        shares = {arms(arm): share for arm, share in planned[segment].items()}
        for arm in units:
            if arm not in shares:
                hint = did_you_mean(arm, tuple(shares))
                raise InputError(f"--share-by: segment {segment!r}: no share for {arm!r}{hint}")
        found[segment] = shares
    return found


def parse_shares(texts: Sequence[str]) -> dict[str, float] | None:
    """Parse the planned shares, `ARM=S` each; None if there are none.

    Raises:
        InputError: A share is no number above 0, or they do not sum to 1.
    """
    shares = {}
    for text in texts:
        arm, equals, value = text.rpartition("=")
        if not equals or not arm.strip():
            raise InputError(f"--share {text!r}: allowed: ARM=S with S above 0, such as B=0.5")
        shares[arm.strip()] = _share(value, f"--share {text!r}")
    _check_sum(shares, "--share")
    return shares or None


def read_segment_shares(path: Path) -> dict[str, dict[str, float]]:
    """Read the planned shares of each segment: a CSV file with the columns segment, arm, share.

    Raises:
        InputError: The file cannot be read, lacks a column, or has a wrong or repeated share.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--share-by {path}: cannot be read; allowed: a CSV file in UTF-8"
        ) from error
    rows = csv.DictReader(text.splitlines(), delimiter=";" if ";" in text.split("\n")[0] else ",")
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    missing = [name for name in ("segment", "arm", "share") if name not in names]
    if missing:
        raise InputError(
            f"--share-by {path}: no column {missing[0]!r}; found "
            f"{', '.join(names) or 'none'}, allowed: segment, arm, share"
        )
    found: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows, start=1):
        segment, arm, share = (
            (row[names[name]] or "").strip() for name in ("segment", "arm", "share")
        )
        where = f"--share-by {path}: row {number}"
        if not segment or not arm:
            raise InputError(f"{where}: segment or arm is empty")
        if arm in found.setdefault(segment, {}):
            raise InputError(f"{where}: duplicate arm {arm!r} in segment {segment!r}")
        found[segment][arm] = _share(share, where)
    if not found:
        raise InputError(f"--share-by {path}: found no row, allowed: at least one")
    for segment, shares in found.items():
        _check_sum(shares, f"--share-by {path}: segment {segment!r}")
    return found


def _share(text: str, where: str) -> float:
    """A share above 0; "40%" is 0.4."""
    text = text.strip()
    scale = 0.01 if text.endswith("%") else 1.0
    try:
        share = float(text.removesuffix("%")) * scale
    except ValueError:
        share = math.nan
    if not (share > 0 and math.isfinite(share)):
        raise InputError(f"{where}: found share {text!r}, allowed: a number above 0, such as 0.5")
    return share


def _check_sum(shares: Mapping[str, float], where: str) -> None:
    total = math.fsum(shares.values())
    if shares and abs(total - 1) > _SHARES_SUM:
        raise InputError(f"{where}: found a sum of {total:g}, allowed: 1")
