"""SQL that picks one of few values by its number, which spares an engine work on each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.data.rules import literal

if TYPE_CHECKING:
    from collections.abc import Sequence


def pick_word(words: Sequence[str | None], place: str) -> str:
    """The word at `place`, counted from 1; null where that is null.

    The words are a type of their own, so that an engine that has such types moves small numbers
    and not texts. Everywhere else they are texts.

    Args:
        words: in order; the same may stand at several places.
        place: SQL of a whole number.
    """
    kinds = sorted({word for word in words if word is not None})
    if not kinds:
        return "cast(null as varchar)"
    listed = ", ".join(map(literal, words))
    return f"nth(cast([{listed}] as enum({', '.join(map(literal, kinds))})[]), {place})"


def pick_number(numbers: Sequence[float | None], place: str) -> str:
    """The number at `place`, counted from 1, as a double; null where that is null."""
    listed = ", ".join(literal(None if one is None else float(one)) for one in numbers)
    return f"nth(cast([{listed}] as double[]), {place})"
