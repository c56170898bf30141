"""Translates the data plane's statements from DuckDB's dialect to Spark's, with equal results.

sqlglot does most of it. What it would leave with another meaning is rewritten on the syntax tree:
floor, trim, the parsing of numbers and times, enums and unsigned integers.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from liftwright.data import sql_fragments
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot import exp

# DuckDB's trim removes Unicode spaces, but neither tabs nor line ends.
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_SPACES += "\u202f\u205f\u3000"
_TRIMMED = f"trim(both '{_SPACES}' from t)"

# Spark's floor returns an integer and fails beyond 64 bits; DuckDB's returns a double.
_FLOOR = "case when abs(t) < 4503599627370496e0 then cast(floor(t) as double) else t end"

# Spark's cast accepts 5d and 0x1p3 as numbers.
_NUMBER = r"^[ \t\n\x0B\f\r]*[+-]?(inf|infinity|([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]+)?)"
_NUMBER += r"[ \t\n\x0B\f\r]*$"
_NAN = r"^[ \t\n\x0B\f\r]*[+-]?nan[ \t\n\x0B\f\r]*$"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_DIGEST = """
create temporary function digest(t string) returns string
return md5(t)
"""
_U32 = """
create temporary function u32(d string, k int) returns bigint
return cast(conv(substr(d, k * 8 + 1, 8), 16, 10) as bigint)
"""
_KEY = """
create temporary function key(t string) returns bigint
return xxhash64(t)
"""
_UTC_DAY = """
create temporary function utc_day(t timestamp) returns date
return cast(t as date)
"""
_LATER = """
create temporary function later(t timestamp, seconds bigint) returns timestamp
return timestamp_micros(unix_micros(t) + seconds * 1000000)
"""
_NUMBER_OF = f"""
create temporary function number_of(t string) returns double
return case when lower(t) rlike {_quoted(_NUMBER)} then try_cast(t as double)
    when lower(t) rlike {_quoted(_NAN)} then cast('nan' as double) end
"""
_SHIFT_OF = """
create temporary function shift_of(t string) returns interval day to second
return make_dt_interval(0, 0, case when left(t, 1) = '-' then -1 else 1 end * (
    60 * try_cast(substr(t, 2, 2) as int)
    + coalesce(try_cast(nullif(right(substr(t, 4), 2), '') as int), 0)
))
"""
_TIME_OF = f"""
create temporary function time_of(t string) returns timestamp_ntz
return case when t rlike {_quoted(sql_fragments.TIME_UTC)}
    or t rlike {_quoted(sql_fragments.TIME_WITH_OFFSET)}
    then try_cast(regexp_replace(t, {_quoted(sql_fragments.TIME_ZONE)}, '$1') as timestamp_ntz)
    - case when t rlike {_quoted(sql_fragments.TIME_WITH_OFFSET)}
        then shift_of(regexp_extract(t, {_quoted(sql_fragments.TIME_OFFSET)}, 1))
        else make_dt_interval() end
    end
"""
_NARROW = f"""
create temporary function narrow(t string) returns string
return translate(
    t, {_quoted(sql_fragments.ADDRESS_WIDE)}, {_quoted(sql_fragments.ADDRESS_NARROW)}
)
"""
_FOLDED = f"""
create temporary function folded(t string) returns string
return case when instr(t, '@') = 0 and instr(t, '\uff20') = 0 then t
    when length(narrow(t)) - length(replace(narrow(t), '@', '')) = 1
    then lower(btrim(narrow(t), {_quoted(sql_fragments.ADDRESS_SPACES)})) else t
    end
"""
FUNCTIONS = (
    _DIGEST,
    _U32,
    _KEY,
    _UTC_DAY,
    _LATER,
    _NUMBER_OF,
    _SHIFT_OF,
    _TIME_OF,
    _NARROW,
    _FOLDED,
)
"""The functions that the data plane needs in addition to SQL; `time_as` depends on its format."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DIRECTIVES = {
    "Y": r"([0-9]{1,4})",
    "y": "([0-9]{2})",
    "m": "([0-9]{1,2})",
    "d": "([0-9]{1,2})",
    "H": "([0-9]{1,2})",
    "I": "([0-9]{1,2})",
    "M": "([0-9]{1,2})",
    "S": "([0-9]{1,2})",
    "j": "([0-9]{1,3})",
    "f": "([0-9]{1,6})",
    "p": "(am|pm)",
    "b": f"({'|'.join(_MONTHS)})",
    "B": f"({'|'.join(_FULL_MONTHS)})",
    "a": f"({'|'.join(_DAYS)})",
    "A": f"({'|'.join(_FULL_DAYS)})",
}
_CENTURY_BREAK = 69  # as in C: 69 to 99 are 1969 to 1999


@functools.lru_cache(maxsize=512)
def to_spark(statement: str) -> str:
    """Translate a statement to Spark's SQL."""
    import sqlglot

    tree = sqlglot.parse_one(statement, read="duckdb")
    return tree.transform(_rewritten).sql(dialect="spark")


def _rewritten(node: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    if isinstance(node, exp.Floor) and not node.args.get("decimals"):
        return _parsed(_FLOOR, node.this)
    if isinstance(node, exp.Trim) and node.expression is None:
        return _parsed(_TRIMMED, node.this)
    if isinstance(node, exp.Anonymous):
        return _called(node)
    if isinstance(node, exp.DataType) and node.this in (exp.DType.ENUM, exp.DType.UINT):
        # Spark has neither enums nor unsigned integers.
        return exp.DataType.build("varchar" if node.this is exp.DType.ENUM else "bigint")
    return node


def _called(node: exp.Anonymous) -> exp.Expr:
    """Translate a call that Spark cannot define as one function for all types or formats."""
    from sqlglot import exp

    name = node.name.lower()
    if name == "time_as":
        text, form = node.expressions
        return _parsed(time_as(form.name), text)
    if name == "nth":
        parts = [part.transform(_rewritten) for part in node.expressions]
        return exp.Anonymous(this="element_at", expressions=parts)
    return node


def _parsed(template: str, value: exp.Expr) -> exp.Expr:
    """The template's tree with the translated `value` in place of `t`."""
    from sqlglot import exp

    value = value.transform(_rewritten)

    def fill(node: exp.Expr) -> exp.Expr:
        is_t = isinstance(node, exp.Column) and node.name == "t" and not node.table
        return exp.paren(value.copy()) if is_t else node

    return _tree(template).copy().transform(fill)


@functools.lru_cache(maxsize=64)
def _tree(template: str) -> exp.Expr:
    import sqlglot

    return sqlglot.parse_one(template, read="spark")


@functools.lru_cache(maxsize=64)
def time_as(form: str) -> str:
    """Spark's SQL that parses the text `t` by a strptime format; null if it does not match.

    Raises:
        ConfigurationError: the format has an unknown directive.
    """
    pattern, groups = _pattern(form)

    def part(directive: str, default: str) -> str:
        if directive not in groups:
            return default
        return f"cast({_extracted(pattern, groups[directive])} as int)"

    text = f"regexp_extract(lower(trim(t)), {_quoted(pattern)}, 0)"
    year = part("Y", "1900")
    if "y" in groups:
        short = part("y", "0")
        year = f"case when {short} < {_CENTURY_BREAK} then 2000 else 1900 end + {short}"
    seconds = part("S", "0")
    if "f" in groups:
        micros = f"cast(rpad({_extracted(pattern, groups['f'])}, 6, '0') as int)"
        seconds = f"cast({seconds} + {micros} / 1e6 as decimal(18, 6))"
    made = f"try_make_timestamp_ntz({year}, {_month(pattern, groups, part)}, "
    made += f"{part('d', '1')}, {_hour(pattern, groups, part)}, {part('M', '0')}, {seconds})"
    if "j" in groups:
        made = f"{made} + make_dt_interval({part('j', '1')} - 1)"
    return f"case when t is not null and {text} <> '' then {made} end"


def _extracted(pattern: str, group: int) -> str:
    return f"regexp_extract(lower(trim(t)), {_quoted(pattern)}, {group})"


def _month(pattern: str, groups: dict[str, int], part: Callable[[str, str], str]) -> str:
    for directive, names in (("b", _MONTHS), ("B", _FULL_MONTHS)):
        if directive in groups:
            found = _extracted(pattern, groups[directive])
            cases = " ".join(f"when '{name}' then {n}" for n, name in enumerate(names, 1))
            return f"case {found} {cases} end"
    return part("m", "1")


def _hour(pattern: str, groups: dict[str, int], part: Callable[[str, str], str]) -> str:
    if "I" not in groups:
        return part("H", "0")
    hour = f"{part('I', '12')} % 12"
    if "p" not in groups:
        return hour
    return f"({hour} + case when {_extracted(pattern, groups['p'])} = 'pm' then 12 else 0 end)"


def _pattern(form: str) -> tuple[str, dict[str, int]]:
    """The format as a regular expression for lower-case text, and the group of each directive."""
    groups: dict[str, int] = {}
    parts, at = [], 0
    for match in re.finditer(r"%-?(.)", form):
        directive = match.group(1)
        parts.append(_literal(form[at : match.start()]))
        at = match.end()
        if directive == "%":
            parts.append("%")
        elif directive in _DIRECTIVES and directive not in groups:
            groups[directive] = len(groups) + 1
            parts.append(_DIRECTIVES[directive])
        else:
            raise ConfigurationError(f"the date format {form!r} cannot be read on Spark")
    parts.append(_literal(form[at:]))
    return f"^{''.join(parts)}$", groups


def _literal(text: str) -> str:
    return "".join(
        r"\s+" if one.isspace() else re.escape(one) for one in re.sub(r"\s+", " ", text.lower())
    )
