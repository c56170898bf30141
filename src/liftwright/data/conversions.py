"""SQL that reads texts as numbers and dates, in the ways people and programs write them.

The patterns are read alike by RE2 (DuckDB) and Java (Spark).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from liftwright.data.sql_fragments import literal
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.config import FileOptions

NUMBERED_DATES = {
    "excel_serial": "^[2-6][0-9]{4}([.,][0-9]+)?$",
    "epoch_seconds": "^[0-9]{9,10}$",
    "epoch_milliseconds": "^[0-9]{12,13}$",
}
"""The formats of dates that are numbers, and the pattern of those of our time."""

SCIENTIFIC = r"^[0-9]([.,][0-9]+)?[eE][+][0-9]+$"
"""An id that Excel has turned into a number."""

_DIRECTIVES = frozenset("YymdHMSIpfbBaAj%")
_SPACE = r"[\p{Z}\t]"
# Signs, ISO codes, and the abbreviations that have no sign.
_CURRENCY = r"\p{Sc}|[A-Z]{3}|kr[.]?|zł|Kč|Fr[.]|Rs[.]?"
_MINUS = "\u2212"
_SIGN = f"[+{_MINUS}-]?"
_APOSTROPHES = "'\u2019"
_AROUND_DIGITS = rf"{_CURRENCY}|[\p{{Z}}\t{_APOSTROPHES}]"
_PERCENT = rf"{_SPACE}*%{_SPACE}*$"
_NEGATIVE = rf"^{_SPACE}*[(]|[0-9][^0-9]*[{_MINUS}-]{_SPACE}*$"
_EPOCH = "cast('1970-01-01 00:00:00+00:00' as timestamptz)"
_DAY_SECONDS = 86_400
_EXCEL_EPOCH_DAYS = 25_569  # from 1899-12-30 to 1970-01-01
_EXCEL_FEBRUARY = 60  # Excel counts a 29 February 1900, which did not exist
# The last day of the year 9999, as Excel and as Unix count.
_LAST_DAYS = {"excel_serial": 2_958_465, "epoch_seconds": 253_402_300_799}
_LAST_DAYS["epoch_milliseconds"] = _LAST_DAYS["epoch_seconds"] * 1000

# The months in English, German, French, Spanish, Italian, Dutch, Portuguese, Polish, Swedish,
# Danish and Norwegian, in full and shortened. Source: Unicode CLDR, gregorian calendar, format.
_MONTHS = (
    "january jan januar jänner jän janvier janv enero ene gennaio gen januari janeiro stycznia sty",
    "february feb februar fév févr février febrero febbraio februari fevereiro fev lutego lut",
    "march mar märz mär mrz mars marzo maart mrt março marca marts",
    "april apr avril avr abril abr aprile kwietnia kwi",
    "may mai mayo maggio mag mei maio maja maj",
    "june jun juni juin junio giugno giu junho czerwca cze",
    "july jul juli juil juillet julio luglio lug julho lipca lip",
    "august aug août agosto ago augustus augusti sierpnia sie",
    "september sep sept septembre septiembre settembre set sett setembro września wrz",
    "october oct oktober okt octobre octubre ottobre ott outubro out października paź",
    "november nov novembre noviembre novembro listopada lis",
    (
        "december dec dezember dez décembre déc diciembre dic dicembre dezembro desember des "
        "grudnia gru"
    ),
)
MONTH_NAMES = {name: n for n, names in enumerate(_MONTHS, 1) for name in names.split()}
"""The number of each month by its names in lower case, without a final point."""


def number(text: str, options: FileOptions) -> str:
    """SQL of the number in a text: with currency, separators and spaces; null if there is none.

    Args:
        text: SQL of the text.
        options: the separators. A separator that may be the decimal one is not guessed: `1,299` is
            null with a decimal point, and `1.299` with a decimal comma, unless it is set as that of
            thousands.
    """
    pattern = number_pattern(options.decimal, options.thousands)
    cleaned = f"regexp_replace({text}, {literal(_AROUND_DIGITS)}, '', 'g')"
    cleaned = f"replace({cleaned}, {literal(_MINUS)}, '-')"
    # Accountants write -12 as (12) or 12-.
    negative = f"regexp_matches({text}, {literal(_NEGATIVE)})"
    cleaned = f"case when {negative} then '-' || translate({cleaned}, '()-', '') else {cleaned} end"
    if options.decimal == ",":
        cleaned = f"replace(replace({cleaned}, '.', ''), ',', '.')"
    else:
        cleaned = f"replace({cleaned}, ',', '')"
    found = f"case when regexp_matches({text}, {literal(pattern)}) then number_of({cleaned}) end"
    # Plain numbers, nearly always all of them, skip the slow pattern.
    return found if options.decimal == "," else f"coalesce(number_of({text}), {found})"


def plain_number(text: str, options: FileOptions) -> str:
    """SQL of the number in a text without currency or spaces: a phone number is none."""
    if options.decimal == ".":
        return f"number_of({text})"
    whole = "[0-9]{1,3}([.][0-9]{3})+|[0-9]+" if options.thousands == "." else "[0-9]+"
    pattern = f"^ *[+-]?({whole})(,[0-9]*)? *$"
    cleaned = f"replace(replace({text}, '.', ''), ',', '.')"
    return f"case when regexp_matches({text}, {literal(pattern)}) then number_of({cleaned}) end"


def share(text: str, options: FileOptions, *, percent: bool) -> str:
    """SQL of the share in a text: `25%` is 0.25; with `percent`, `25` is too."""
    bare = number(f"regexp_replace({text}, {literal(_PERCENT)}, '')", options)
    if percent:
        return f"({bare} / 100e0)"
    marked = f"case when strpos({text}, '%') > 0 then {bare} / 100e0 end"
    return f"coalesce({number(text, options)}, {marked})"


def number_pattern(decimal: str, thousands: str | None) -> str:
    """The pattern of a number that is written with these separators and with nothing unclear."""
    point, other = f"[{decimal}]", "," if decimal == "." else "."
    groups = rf"[\p{{Z}}{_APOSTROPHES}{thousands or ''}]"
    forms = [f"[0-9]{{1,3}}(?:{groups}[0-9]{{3}})+(?:{point}[0-9]*)?", f"[0-9]+(?:{point}[0-9]*)?"]
    forms.append(f"{point}[0-9]+")
    if thousands is None:
        # With the decimal separator behind it, or twice, the other one can only group.
        forms.append(f"[0-9]{{1,3}}(?:[{other}][0-9]{{3}})+{point}[0-9]+")
        forms.append(f"[0-9]{{1,3}}(?:[{other}][0-9]{{3}}){{2,}}")
    return _around(f"(?:{'|'.join(forms)})(?:[eE][+-]?[0-9]+)?")


def unclear_number(decimal: str) -> str:
    """The pattern of a number whose only separator may group thousands or be a decimal one."""
    other = "," if decimal == "." else "."
    return _around(f"[0-9]{{1,3}}[{other}][0-9]{{3}}")


def _around(digits: str) -> str:
    money = f"(?:{_CURRENCY})?"
    bare = f"{money}{_SPACE}*{digits}{_SPACE}*{money}"
    signed = f"{_SIGN}{_SPACE}*{money}{_SPACE}*{_SIGN}{_SPACE}*{digits}{_SPACE}*{money}"
    forms = (signed, f"{bare}{_SPACE}*[{_MINUS}-]", f"[(]{_SPACE}*{bare}{_SPACE}*[)]")
    return f"^{_SPACE}*(?:{'|'.join(forms)}){_SPACE}*$"


def check_formats(formats: Sequence[str], key: str) -> None:
    """Refuse a format that is none.

    Raises:
        ConfigurationError: naming the key and the format.
    """
    for pattern in formats:
        used = re.findall(r"%-?(.)?", pattern)
        is_one = used and not set(used) - _DIRECTIVES and {"Y", "y"} & set(used)
        if not is_one and pattern not in NUMBERED_DATES:
            raise ConfigurationError(
                f"{key}: {pattern!r} is not a date format; allowed: a format such as %m/%d/%Y or "
                f"%Y-%m-%d %H:%M, or {', '.join(NUMBERED_DATES)}"
            )


def date(text: str, formats: Sequence[str], options: FileOptions) -> str:
    """SQL of the date in a text by the first format that reads it; by ISO 8601 without formats."""
    if not formats:
        return f"cast(time_of({text}) as date)"
    days = [day for pattern in formats for day in _days(text, pattern, options)]
    return f"coalesce({', '.join([*days, 'cast(null as date)'])})"


def _days(text: str, pattern: str, options: FileOptions) -> list[str]:
    if pattern in NUMBERED_DATES:
        return [_numbered_day(number(text, options), pattern)]
    days = [f"cast(time_as({text}, {literal(pattern)}) as date)"]
    if re.search("%-?[bB]", pattern):
        days.append(_named_day(text, pattern))
    return days


def _numbered_day(value: str, pattern: str) -> str:
    if pattern == "excel_serial":
        leap = f"case when {value} < {_EXCEL_FEBRUARY} then 1e0 else 0e0 end"
        seconds = f"(floor({value}) - {_EXCEL_EPOCH_DAYS}e0 + {leap}) * {_DAY_SECONDS}e0"
        first = 1
    else:
        seconds = f"floor({value} / {1000 if pattern == 'epoch_milliseconds' else 1}e0)"
        first = -_LAST_DAYS["epoch_seconds"] // 8
    within = f"{value} >= {first} and {value} < {_LAST_DAYS[pattern] + 1}"
    return f"utc_day(later({_EPOCH}, cast(case when {within} then {seconds} end as bigint)))"


def _named_day(text: str, pattern: str) -> str:
    """SQL of a date whose month has a name in any of the languages of `MONTH_NAMES`."""
    lower = f"lower(trim({text}))"
    names = sorted(MONTH_NAMES, key=len, reverse=True)
    # Letters on either side would make it another word, such as a day of the week.
    found = literal(rf"(?:^|[^\p{{L}}])({'|'.join(names)})(?:$|[^\p{{L}}])")
    name = f"regexp_extract({lower}, {found}, 1)"
    listed = literal("".join(f";{name}={month:02}" for name, month in MONTH_NAMES.items()))
    month = f"substr({listed}, strpos({listed}, ';' || {name} || '=') + length({name}) + 2, 2)"
    # A point may follow a shortened name, in the text or in the format.
    bare = f"replace({lower}, {name} || '.', {name})"
    numbered = re.sub(r"%-?[bB][.]?", "%m", pattern)
    day = f"time_as(replace({bare}, {name}, {month}), {literal(numbered)})"
    return f"case when {name} <> '' then cast({day} as date) end"
