"""Pieces of SQL text that every engine reads alike: names, literals, look-ups, time patterns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SPACES = r"[ \t\n\f\r]*"
_YEAR = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
# In the first and the last year, an offset could lead to a time that Python cannot represent.
_INNER_YEAR = "([1-8][0-9]{3}|9([0-8][0-9]{2}|9([0-8][0-9]|9[0-8]))|0[1-9][0-9]{2}|00[1-9][0-9]"
_INNER_YEAR += "|000[2-9])"
_DAY = "-[0-9]{1,2}-[0-9]{1,2}"
_CLOCK = "([01]?[0-9]|2[0-3]):[0-5]?[0-9](:[0-5]?[0-9]([.][0-9]*)?)?"
_UTC = "( ?(Z|[+-]00(:?00)?)| UTC)"
_OFFSET = "[+-]((0[0-9]|1[0-3])(:?[0-5][0-9])?|14(:?00)?)"

# ISO 8601 times, with or without an offset from UTC. RE2 (DuckDB) and Java (Spark) read these
# patterns alike; each matches the whole text. Only the length of a month is left to the engine.
# Sources: ISO 8601-1:2019; W3C XML Schema 1.1 part 2, 3.3.7 (offsets from -14:00 to +14:00).
TIME_SPACES = " \t\n\f\r"
"""The characters that may surround a time; other Unicode spaces make it unreadable."""

TIME_BARE = f"^{_YEAR}{_DAY}([ T]{_CLOCK}(Z|[+]00:00)?)?$"
"""The common case: `TIME_UTC` without surrounding spaces, which need not be trimmed."""

TIME_UTC = f"^{_SPACES}{_YEAR}{_DAY}([ T]{_CLOCK}{_UTC}?)?{_SPACES}$"
"""A date, or a date and time, in UTC."""

TIME_WITH_OFFSET = f"^{_SPACES}{_INNER_YEAR}{_DAY}[ T]{_CLOCK} ?{_OFFSET}{_SPACES}$"
"""A time with an offset from UTC: +02:00, +0200 or +02."""

TIME_ZONE = f"(:[0-9.]+)({_UTC}| ?({_OFFSET})){_SPACES}$"
"""Finds a time's zone; the first group is the text before it."""

TIME_OFFSET = f"({_OFFSET}){_SPACES}$"
"""Finds the offset in a match of `TIME_WITH_OFFSET`; the first group is the offset alone."""

ADDRESS_SPACES = (
    "".join(
        map(chr, (*range(9, 14), 32, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F))
    )
    + "\u205f\u2060\ufeff"
)
"""The white space and zero-width characters that may surround an e-mail address."""

ADDRESS_WIDE = "".join(map(chr, (*range(0xFF01, 0xFF5F), 0x3000, 0x130, 0x3A3, 0x3C2)))
ADDRESS_NARROW = "".join(map(chr, (*range(0x21, 0x7F), 0x20, 0x69, 0x3C3, 0x3C3)))
"""The characters that replace those of `ADDRESS_WIDE` in an e-mail address, in the same order: the
ASCII form of full-width characters, and the letters whose lower case differs between engines."""


def replace_values(text: str, values: Mapping[str, str]) -> str:
    """SQL of a text in which each key of `values` is replaced by its value."""
    cases = " ".join(f"when {literal(old)} then {literal(new)}" for old, new in values.items())
    return f"case {text} {cases} else {text} end" if cases else text


def identifier(name: str) -> str:
    """`name` as a quoted identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | bool | None) -> str:  # noqa: FBT001 - a value, not a switch
    """`value` as a literal in SQL; numbers with a fraction are doubles.

    Raises:
        ValueError: `value` is NaN or infinite, or a text contains a NUL character.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a literal must be finite")
        text = repr(value)
        return text if "e" in text else text + "e0"
    if "\0" in value:
        raise ValueError("a literal must not contain a NUL character")
    return "'" + value.replace("'", "''") + "'"


def text_at(texts: Sequence[str | None], index: str) -> str:
    """SQL of the text at `index`, counted from 1; null where the index or the text is null.

    The texts form an enum, so an engine with enums moves small numbers instead of texts; on the
    other engines they stay texts.

    Args:
        texts: in order; repeats are allowed.
        index: SQL of a whole number.
    """
    values = sorted({text for text in texts if text is not None})
    if not values:
        return "cast(null as varchar)"
    listed = ", ".join(map(literal, texts))
    return f"nth(cast([{listed}] as enum({', '.join(map(literal, values))})[]), {index})"


def number_at(numbers: Sequence[float | None], index: str) -> str:
    """SQL of the number at `index`, counted from 1, as a double; null where it is null."""
    listed = ", ".join(literal(None if n is None else float(n)) for n in numbers)
    return f"nth(cast([{listed}] as double[]), {index})"
