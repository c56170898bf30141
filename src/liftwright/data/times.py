"""How a time is spelled, for every engine alike: ISO 8601, with or without an offset from UTC.

The patterns are read alike by RE2 (DuckDB) and by Java (Spark), and match the whole text. They
leave to the engine only which days a month has.

Sources: ISO 8601-1:2019; W3C XML Schema 1.1 part 2, 3.3.7 (offsets from -14:00 to +14:00).
"""

from __future__ import annotations

WHITE = " \t\n\f\r"
"""What may stand around a time; other spaces of Unicode make it unreadable."""

_WHITE = r"[ \t\n\f\r]*"
_YEAR = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
# Of the first and the last year an offset could lead to times that Python does not have.
_INNER_YEAR = "([1-8][0-9]{3}|9([0-8][0-9]{2}|9([0-8][0-9]|9[0-8]))|0[1-9][0-9]{2}|00[1-9][0-9]"
_INNER_YEAR += "|000[2-9])"
_DAY = "-[0-9]{1,2}-[0-9]{1,2}"
_CLOCK = "([01]?[0-9]|2[0-3]):[0-5]?[0-9](:[0-5]?[0-9]([.][0-9]*)?)?"
_UTC = "( ?(Z|[+-]00(:?00)?)| UTC)"
_OFFSET = "[+-]((0[0-9]|1[0-3])(:?[0-5][0-9])?|14(:?00)?)"

BARE = f"^{_YEAR}{_DAY}([ T]{_CLOCK}(Z|[+]00:00)?)?$"
"""What most texts look like: `PLAIN` without spaces that a reader would have to take off."""

PLAIN = f"^{_WHITE}{_YEAR}{_DAY}([ T]{_CLOCK}{_UTC}?)?{_WHITE}$"
"""A day, or a day and a time of it, in UTC."""

SHIFTED = f"^{_WHITE}{_INNER_YEAR}{_DAY}[ T]{_CLOCK} ?{_OFFSET}{_WHITE}$"
"""A time with the offset of its place from UTC: +02:00, +0200 or +02."""

ZONE = f"(:[0-9.]+)({_UTC}| ?({_OFFSET})){_WHITE}$"
"""Finds a time's zone; the first group stands before it."""

SHIFT = f"({_OFFSET}){_WHITE}$"
"""Finds the offset in what `SHIFTED` matches; the first group is the offset alone."""
