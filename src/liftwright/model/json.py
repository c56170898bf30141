"""Converts records to JSON and back, and computes content fingerprints."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from numbers import Integral, Real

T = typing.TypeVar("T")
Json = typing.Union[None, bool, int, float, str, "Sequence[Json]", "Mapping[str, Json]"]


def to_json(value: object) -> Json:  # noqa: PLR0911 - one case a line
    """A record, or a collection of records, as plain JSON values; NaN and infinity become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Integral | Real):  # a NumPy number
        return int(value) if isinstance(value, Integral) else to_json(float(value))
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((to_json(item) for item in value), key=repr)
    if isinstance(value, Sequence):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def from_json(kind: type[T], value: object, *, ignore_unknown: bool = False) -> T:
    """The record of type `kind` that `to_json` wrote as `value`; null for a number is NaN.

    Args:
        kind: A record, or a collection or union of records.
        value: JSON values.
        ignore_unknown: Skip keys that a record does not have instead of refusing them: for files
            that another version may have written.

    Raises:
        ValueError: `value` does not have that form.
    """
    return typing.cast("T", _Reader(ignore_unknown=ignore_unknown).read(kind, value))


class _Reader:
    def __init__(self, *, ignore_unknown: bool) -> None:
        self._ignore_unknown = ignore_unknown

    def read(self, kind: object, value: object) -> object:  # noqa: PLR0911 - one case a line
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return self._read_union(arguments, value)
        if origin is typing.Literal:
            return _expect_one_of(arguments, value)
        if origin is tuple:
            return self._read_tuple(arguments, _expect(list, value))
        if origin is not None and issubclass(origin, Mapping):
            return {k: self.read(arguments[1], item) for k, item in _expect(dict, value).items()}
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self._read_record(kind, _expect(dict, value))
        if kind is date:
            return date.fromisoformat(_expect(str, value))
        if kind is float:
            return _read_number(value)
        if kind is object:
            return value
        if kind is int and isinstance(value, bool):
            raise ValueError("int expected, found bool")
        return _expect(typing.cast("type[object]", kind), value)

    def _read_record(self, kind: type, value: Mapping[str, object]) -> object:
        hints = _hints(kind)
        unknown = set(value) - set(hints)
        if unknown and not self._ignore_unknown:
            raise ValueError(f"{kind.__name__} has no field {min(unknown)!r}")
        known = {name: item for name, item in value.items() if name in hints}
        try:
            return kind(**{name: self.read(hints[name], item) for name, item in known.items()})
        except TypeError as error:
            raise ValueError(f"{kind.__name__}: {error}") from error

    def _read_tuple(self, kinds: tuple[object, ...], items: list[object]) -> tuple[object, ...]:
        if kinds[-1] is Ellipsis:
            return tuple(self.read(kinds[0], item) for item in items)
        if len(items) != len(kinds):
            raise ValueError(f"{len(kinds)} items expected, found {len(items)}")
        return tuple(self.read(kind, item) for kind, item in zip(kinds, items, strict=True))

    def _read_union(self, choices: tuple[object, ...], value: object) -> object:
        """The value as the first type that accepts it."""
        if value is None and type(None) in choices:
            return None
        *others, last = (choice for choice in choices if choice is not type(None))
        for kind in others:
            with contextlib.suppress(ValueError):
                return self.read(kind, value)
        return self.read(last, value)


@cache
def _hints(kind: type) -> Mapping[str, object]:
    # Resolving the hints again for each of thousands of records would dominate the run time.
    return typing.get_type_hints(kind)


def _read_number(value: object) -> float:
    # `to_json` writes NaN as null, so null reads as NaN where a number is required.
    if value is None:
        return float("nan")
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(float, value)


def _expect_one_of(allowed: tuple[object, ...], value: object) -> object:
    if value not in allowed:
        raise ValueError(f"one of {allowed} expected, found {value!r}")
    return value


def _expect(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{kind.__name__} expected, found {type(value).__name__}")  # noqa: TRY004 - the reader's one error
    return value


def fingerprint(*parts: object) -> str:
    """SHA-256 in hex of the parts' canonical JSON; equal parts give the same on every machine."""
    text = json.dumps(to_json(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
