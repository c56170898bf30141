"""Values of JSON files as records; what is not of the form is no run of the product's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TypeVar, cast

from liftwright.model import from_json

Values = Mapping[str, object]
T = TypeVar("T")


def record(kind: type[T], value: object) -> T:
    """A record of the values that it knows; other keys are of no use here."""
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type] # every kind is a dataclass
    return from_json(kind, {key: item for key, item in mapping(value).items() if key in known})


def mapping(value: object) -> Values:
    """The value, if it is an object.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"an object expected, found {type(value).__name__}")
    return value


def items(value: object) -> Sequence[object]:
    """The items of a list; none where the value is no list."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def texts(value: object) -> tuple[str, ...]:
    """The items of a list as texts."""
    return tuple(str(item) for item in items(value))


def whole(value: object) -> int:
    """The value as a whole number."""
    return int(cast("int", value))
