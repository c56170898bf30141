"""Values in a text: numbers, percentages, money, dates, times, durations, measures and codes.

A value has a canonical form, so that `20%`, `20 percent` and `twenty percent` are one value, as
are `$1,299.00` and `1299 dollars`, or `March 3, 2026` and `2026-03-03`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from liftwright.text.numbers import AMOUNT, NUMBER, plain, read_amount, read_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CURRENCIES = {
    "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "bucks": "USD",
    "ca$": "CAD", "cad": "CAD", "au$": "AUD", "aud": "AUD", "nz$": "NZD", "nzd": "NZD",
    "\u00a3": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP",
    "\u20ac": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR",
    "\u00a5": "JPY", "jpy": "JPY", "yen": "JPY", "\u20b9": "INR", "inr": "INR", "rupees": "INR",
    "chf": "CHF", "francs": "CHF", "sek": "SEK", "nok": "NOK", "dkk": "DKK",
    "p": "GBP/100", "pence": "GBP/100", "cent": "USD/100", "cents": "USD/100",
    "\u00a2": "USD/100",
}  # fmt: skip
_MONTHS = (  # noqa: SIM905 - read as a text
    "january february march april may june july august september october november december"
).split()
_PERIODS = {
    "second": ("seconds", 1), "sec": ("seconds", 1),
    "minute": ("minutes", 1), "min": ("minutes", 1),
    "hour": ("hours", 1), "hr": ("hours", 1),
    "day": ("days", 1), "night": ("nights", 1), "week": ("days", 7), "fortnight": ("days", 14),
    "month": ("months", 1), "quarter": ("months", 3), "year": ("months", 12), "yr": ("months", 12),
    "decade": ("months", 120),
}  # fmt: skip
_MEASURES = {
    "mm": ("mm", 1), "millimetre": ("mm", 1), "millimeter": ("mm", 1), "cm": ("mm", 10),
    "centimetre": ("mm", 10), "centimeter": ("mm", 10), "m": ("mm", 1000), "metre": ("mm", 1000),
    "meter": ("mm", 1000), "km": ("mm", 1_000_000), "kilometre": ("mm", 1_000_000),
    "kilometer": ("mm", 1_000_000), "inch": ("inch", 1), "inches": ("inch", 1), "ft": ("inch", 12),
    "foot": ("inch", 12), "feet": ("inch", 12), "yd": ("inch", 36), "yard": ("inch", 36),
    "mile": ("mile", 1), "mi": ("mile", 1),
    "mg": ("mg", 1), "g": ("mg", 1000), "gram": ("mg", 1000), "gramme": ("mg", 1000),
    "kg": ("mg", 1_000_000), "kilo": ("mg", 1_000_000), "kilogram": ("mg", 1_000_000),
    "tonne": ("mg", 1_000_000_000), "oz": ("oz", 1), "ounce": ("oz", 1), "lb": ("oz", 16),
    "lbs": ("oz", 16), "ml": ("ml", 1), "millilitre": ("ml", 1), "milliliter": ("ml", 1),
    "cl": ("ml", 10), "dl": ("ml", 100), "l": ("ml", 1000), "litre": ("ml", 1000),
    "liter": ("ml", 1000), "pint": ("pint", 1), "gallon": ("pint", 8),
    "kb": ("kb", 1), "mb": ("kb", 1000), "gb": ("kb", 1_000_000), "tb": ("kb", 1_000_000_000),
    "w": ("w", 1), "watt": ("w", 1), "kw": ("w", 1000), "wh": ("wh", 1), "kwh": ("wh", 1000),
    "mah": ("mah", 1), "v": ("v", 1), "volt": ("v", 1), "hz": ("hz", 1), "mph": ("mph", 1),
    "\u00b0c": ("celsius", 1), "\u00b0f": ("fahrenheit", 1), "\u00b0": ("degrees", 1),
    "degree": ("degrees", 1), "denier": ("denier", 1), "micron": ("micron", 1),
    "\u03bcm": ("micron", 1), "\u00b5m": ("micron", 1),
}  # fmt: skip
"""How a measure counts in the unit that its dimension is compared in."""
_HOURS_A_DAY = 24
_NOON = 12

_CURRENCY_CODE = r"(?i:usd|gbp|eur|cad|aud|nzd|jpy|inr|chf|sek|nok|dkk)"
_CURRENCY_WORD = (
    rf"(?:[$\u00a3\u20ac\u00a5\u20b9\u00a2]|(?:{_CURRENCY_CODE}|(?i:dollars?|bucks|pounds?|quid|"
    r"euros?|yen|rupees|francs|pence|cents?)|p)\b)"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?|JANUARY|FEBRUARY|MARCH|APRIL|MAY|"
    r"JUNE|JULY|AUGUST|SEPTEMBER|OCTOBER|NOVEMBER|DECEMBER)\b\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_PERIOD = "|".join(sorted(_PERIODS, key=len, reverse=True))
_MEASURE = "|".join(sorted(map(re.escape, _MEASURES), key=len, reverse=True))
_VALUE = re.compile(
    rf"""
    (?P<link>https?://\S{{1,2000}}|\bwww\.\S{{1,2000}}
        |(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,5}})
    |(?P<iso>\b\d{{4}}-\d{{2}}-\d{{2}}(?:T[\d:.]{{4,15}}Z?)?(?![\d-]))
    |(?P<dmy>\b{_DAY}(?:\ of)?\s{{1,3}}{_MONTH}(?:,?\s{{1,3}}\d{{4}}\b)?)
    |(?P<mdy>\b{_MONTH}\s{{1,3}}(?:the\ )?{_DAY}(?!\d|\s?%|:\d|\s?[ap]\.?m\b)
        (?:,?\s{{1,3}}\d{{4}}\b)?)
    |(?P<my>\b{_MONTH},?\s{{1,3}}\d{{4}}\b)
    |(?P<numeric>\b\d{{1,2}}/\d{{1,2}}/(?:\d{{4}}|\d{{2}})\b|\b\d{{1,2}}\.\d{{1,2}}\.\d{{4}}\b)
    |(?P<month>(?i:\b(?:in|by|until|till|since|during|from|to|before|after|through|of|every|each|
        late|early|mid|and|next|this|last))[ -](?P<month_name>{_MONTH})
        (?!\ \w{{1,20}}\ \d)(?!,?\ (?:the\ )?\d))
    |(?P<time>\b\d{{1,2}}(?:[:.]\d{{2}})?\s?(?i:[ap]\.m\.|[ap]m\b)|\b\d{{1,2}}:\d{{2}}\b(?!:)
        |(?i:\bnoon\b|\bmidday\b|\bmidnight\b))
    |(?P<money>(?:\b(?:US|CA|AU|NZ))?[$\u00a3\u20ac\u00a5\u20b9]\s?{AMOUNT}
        |\b{_CURRENCY_CODE}\s?{AMOUNT}
        |{NUMBER}[\s-]?{_CURRENCY_WORD})
    |(?P<percent>{NUMBER}[\s-]?(?:[%\uff05]|(?i:per\s?cent|percent|pct|percentage\ points?)\b)
        |(?i:\bhalf[ -](?:price|off)\b))
    |(?P<duration>{NUMBER}(?:[\s-]|\ (?:full|whole|calendar)\ )?
        (?P<working>(?i:working|business)[\s-])?(?i:{_PERIOD})(?i:s?)\b)
    |(?P<measure>(?:(?<!\w)[-\u2212](?=\d{{1,4}}(?:[.,]\d{{1,3}})?\s?\u00b0))?{NUMBER}[\s-]?
        (?i:{_MEASURE})(?:s\b|\b|(?<=\u00b0)))
    |(?P<code>(?<![\w-])(?=[A-Z0-9-]{{0,30}}\d)(?=[A-Z0-9-]{{0,30}}[A-Z])[A-Z0-9]
        (?:[A-Z0-9]|-(?=[A-Z0-9])){{3,30}}(?![\w-])
        |(?i:\bcode:?)\s{{1,3}}["'\u2018\u201c]?(?P<named>[A-Z][A-Z0-9-]{{2,30}})\b)
    |(?P<number>(?:(?<!\w)[-\u2212](?=\d{{1,4}}(?:[.,]\d{{1,3}})?\s?\u00b0))?{NUMBER}
        (?P<suffix>st\b|nd\b|rd\b|th\b|[x\u00d7]\b|[A-Za-z\u00b0\u03bc]{{1,3}}\b)?)
    """,
    re.VERBOSE,
)
_NUMBER_PARTS = re.compile(NUMBER)
# "one" and its like are counted only where they count something.
_ONE_BEFORE = re.compile(
    r"(?i)\b(?:no|any|every|some|each|this|that|which|the|another|new|right|perfect|favou?rite|"
    r"only|for|only|by)[ -]$"
)
_ONE_AFTER = re.compile(
    r"(?i)(?:-|\s(?:of|another|that|who|by|thing|day|more|place|step|to|is|for|and|will|has|go|glance|"
    r"look|sitting|note|line|moment)\b|"
    r"\s?[.,;:!?)]|\s?$)"
)
_RANGE = re.compile(r"\s?(?:-|\u2013|\u2014|\bto\b)\s?|-?\sto\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value and where it stands.

    Attributes:
        kind: number, percent, money, date, time, duration, measure or code.
        text: as it is written.
        canonical: equal for equal values of a kind. Numbers are plain decimals; money has the
            currency first (`USD 1299`); dates are ISO with `-` for what is not said (`--03-03`
            no year, `2026-03` no day, `--03` a month alone), `2026-03/04` where day and month
            cannot be told apart; durations have a unit
            (`days 14`), as have measures (`mm 45`, `mg 2400000`); codes are upper case.
    """

    kind: str
    text: str
    start: int
    end: int
    canonical: str


def values(text: str) -> tuple[Value, ...]:
    """All values of a text, in order. Digits inside links and e-mail addresses are none."""
    found: list[Value] = []
    for match in _VALUE.finditer(text):
        group = match.lastgroup or ""
        value = _READERS[group](match) if group in _READERS else None
        if value is not None:
            _take(found, value, text)
    return tuple(found)


class KnownValues:
    """Values that are said somewhere, among which others are looked up.

    `3 March` is held by `3 March 2026`, not the other way round; a year alone by a date.
    """

    def __init__(self, said: Iterable[Value]) -> None:
        """Hold these values."""
        self._exact = {(value.kind, value.canonical) for value in said}
        self._dates = [canonical for kind, canonical in self._exact if kind == "date"]
        self._years = {date[:4] for date in self._dates if not date.startswith("--")}

    def hold(self, value: Value) -> bool:
        """Whether one of them says this value, or says it more exactly."""
        if (value.kind, value.canonical) in self._exact:
            return True
        if value.kind == "number":
            return value.canonical in self._years
        return value.kind == "date" and any(_date_says(d, value.canonical) for d in self._dates)


def _date_says(other: str, value: str) -> bool:
    (year, days), (wanted_year, wanted_days) = _date_parts(other), _date_parts(value)
    if wanted_year not in ("", year):
        return False
    if any(day in days for day in wanted_days):
        return True
    # A month alone is said by any day in it.
    return any(len(day) == len("03") and known.startswith(day)
               for day in wanted_days for known in days)  # fmt: skip


def _date_parts(canonical: str) -> tuple[str, tuple[str, ...]]:
    """The year ("" if not said) and the possible month-days."""
    year = "" if canonical.startswith("--") else canonical[:4]
    rest = canonical[2:] if not year else canonical[5:]
    if "/" in rest:
        first, second = rest.split("/")
        return year, (f"{first}-{second}", f"{second}-{first}")
    return year, (rest,)


def _take(found: list[Value], value: Value, text: str) -> None:
    """Append a value; the other end of a range takes its unit ("2-3 days", "10 to 20%")."""
    if found and _RANGE.fullmatch(text, found[-1].end, value.start):
        before = found[-1]
        if before.kind == "number" and value.kind in ("percent", "money", "duration", "date"):
            found[-1] = _in_unit_of(value, before)
        elif value.kind == "number" and before.kind in ("money", "date"):
            value = _in_unit_of(before, value)
    found.append(value)


def _in_unit_of(model: Value, value: Value) -> Value:
    """`value`, a bare number, read in the unit of `model`."""
    number = value.canonical.lstrip("-")
    if model.kind == "percent":
        canonical = number
    elif model.kind == "money":
        canonical = f"{model.canonical.split()[0]} {number}"
    elif model.kind == "duration":
        unit = next(_PERIODS[name] for name in _PERIODS if _unit_of(model.text) == name)
        working = model.canonical.startswith("working")
        canonical = _period(Decimal(number), unit, working=working)
    else:
        month = re.fullmatch(r"(?:\d{4}|-)-\d\d-\d\d", model.canonical)
        if not month or not number.isdigit() or not 1 <= int(number) <= 31:  # noqa: PLR2004 - days
            return value
        canonical = f"{model.canonical[:-2]}{int(number):02d}"
    return replace(value, kind=model.kind, canonical=canonical)


# ── Readers, one per alternative of the expression ────────────────────────────────────────────


def _value(kind: str, match: re.Match[str], canonical: str, group: str | int = 0) -> Value:
    start, end = match.span(group)
    return Value(kind=kind, text=match[group], start=start, end=end, canonical=canonical)


def _read_iso(match: re.Match[str]) -> Value:
    return _value("date", match, match[0][:10])


def _read_day(match: re.Match[str]) -> Value | None:
    """Day and month in either order, with or without a year."""
    month = _month_in(match[0])
    numbers = re.findall(r"\d+", match[0])
    day = int(numbers[0])
    if not 1 <= day <= 31:  # noqa: PLR2004 - days
        return None
    year = f"{int(numbers[1]):04d}" if len(numbers) > 1 else "-"
    return _value("date", match, f"{year}-{month:02d}-{day:02d}")


def _read_month_of_year(match: re.Match[str]) -> Value:
    year = re.findall(r"\d+", match[0])[0]
    return _value("date", match, f"{int(year):04d}-{_month_in(match[0]):02d}")


def _read_month(match: re.Match[str]) -> Value:
    return _value("date", match, f"--{_month_in(match['month_name']):02d}", "month_name")


def _read_numeric_date(match: re.Match[str]) -> Value | None:
    first, second, year = (int(part) for part in re.findall(r"\d+", match[0]))
    year += 2000 if year < 100 else 0  # noqa: PLR2004 - two digits
    low, high = sorted((first, second))
    if not 1 <= low <= 12 or high > 31:  # noqa: PLR2004 - months and days
        return None
    if high > 12 or low == high:  # noqa: PLR2004 - months
        return _value("date", match, f"{year:04d}-{low:02d}-{high:02d}")
    return _value("date", match, f"{year:04d}-{low:02d}/{high:02d}")


def _month_in(text: str) -> int:
    name = next(word.lower() for word in re.findall(r"[A-Za-z]{3,}", text) if word != "the")
    return next(n for n, month in enumerate(_MONTHS, start=1) if month.startswith(name[:3]))


def _read_time(match: re.Match[str]) -> Value | None:
    text = match[0].lower()
    if not text[0].isdigit():
        return _value("time", match, "00:00" if text == "midnight" else "12:00")
    hour, *minutes = (int(part) for part in re.findall(r"\d+", text))
    minute = minutes[0] if minutes else 0
    if "p" in text and hour < _NOON:
        hour += _NOON
    elif "a" in text and hour == _NOON:
        hour = 0
    if hour > _HOURS_A_DAY or minute >= 60:  # noqa: PLR2004 - minutes an hour
        return None
    return _value("time", match, f"{hour:02d}:{minute:02d}")


def _read_money(match: re.Match[str]) -> Value:
    text = match[0].lower()
    before = re.match(rf"(?:(?:us|ca|au|nz)?[$\u00a3\u20ac\u00a5\u20b9]|{_CURRENCY_CODE})", text)
    if before:
        currency = before[0]
        amount = read_amount(text[before.end() :].strip())
    else:
        number = _NUMBER_PARTS.match(text)
        parts = number[0] if number else text
        currency = text[len(parts) :].lstrip("-").strip()
        amount = read_number(parts)
    code, _, divided = _CURRENCIES[currency].partition("/")
    return _value("money", match, f"{code} {plain(amount / int(divided or 1))}")


def _read_percent(match: re.Match[str]) -> Value:
    if match[0][0] in "hH":
        return _value("percent", match, "50")
    number = _NUMBER_PARTS.match(match[0])
    return _value("percent", match, plain(read_number(number[0] if number else "")))


def _unit_of(text: str) -> str:
    unit: str = re.findall(r"[a-z]+", text.lower())[-1]
    return unit if unit in _PERIODS else unit.removesuffix("s")


def _read_duration(match: re.Match[str]) -> Value | None:
    number = _NUMBER_PARTS.match(match[0])
    if _is_idle_one(match, number[0] if number else ""):
        return None
    count = read_number(number[0] if number else "")
    unit = _PERIODS[_unit_of(match[0])]
    return _value("duration", match, _period(count, unit, working=bool(match["working"])))


def _period(count: Decimal, unit: tuple[str, int], *, working: bool) -> str:
    name, factor = unit
    total = count * factor
    if name == "hours":
        name, total = ("hours", total) if total % _HOURS_A_DAY else ("days", total / _HOURS_A_DAY)
    return f"{'working ' if working else ''}{name} {plain(total)}"


def _read_measure(match: re.Match[str]) -> Value | None:
    text = match[0].lower()
    bare = text.lstrip("-\u2212")
    number = _NUMBER_PARTS.match(bare)
    if number is None or _is_idle_one(match, number[0]):
        return None
    # "5G" is no weight, and "8 L" a size.
    if (match[0][-1] in "GMvw" and match[0][-2:-1].isdigit()) or match[0].endswith(
        (" L", " M", " G")
    ):
        return replace(_number_in(match, number[0]), canonical=plain(read_number(number[0])))
    name = bare[number.end() :].lstrip(" -")
    unit, factor = _MEASURES[name] if name in _MEASURES else _MEASURES[name.removesuffix("s")]
    amount = read_number(number[0]) * factor * (1 if bare == text else -1)
    return _value("measure", match, f"{unit} {plain(amount)}")


def _number_in(match: re.Match[str], digits: str) -> Value:
    start = match.start() + match[0].index(digits)
    return Value(kind="number", text=digits, start=start, end=start + len(digits), canonical="")


def _read_code(match: re.Match[str]) -> Value:
    group = "named" if match["named"] else 0
    return _value("code", match, match[group].upper(), group)


def _read_number(match: re.Match[str]) -> Value | None:
    text = match[0]
    bare = text.lstrip("-\u2212")
    suffix = match["suffix"] or ""
    digits = bare.removesuffix(suffix) if bare[0].isdigit() else bare
    if _is_idle_one(match, digits):
        return None
    number = read_number(digits)
    # A dash counts as a minus only where degrees are measured; else it leads, joins or lists.
    canonical = plain(number if text == bare else -number)
    end = match.end() - len(suffix)
    return Value(
        kind="number",
        text=match.string[match.start() : end],
        start=match.start(),
        end=end,
        canonical=canonical,
    )


def _is_idle_one(match: re.Match[str], digits: str) -> bool:
    if digits.lower() != "one":
        return False
    text = match.string
    before = text[max(0, match.start() - 12) : match.start()]
    number_end = match.start() + len("one")
    return bool(_ONE_BEFORE.search(before) or _ONE_AFTER.match(text[number_end : number_end + 12]))


_READERS: dict[str, Callable[[re.Match[str]], Value | None]] = {
    "iso": _read_iso,
    "dmy": _read_day,
    "mdy": _read_day,
    "my": _read_month_of_year,
    "numeric": _read_numeric_date,
    "month": _read_month,
    "time": _read_time,
    "money": _read_money,
    "percent": _read_percent,
    "duration": _read_duration,
    "measure": _read_measure,
    "code": _read_code,
    "number": _read_number,
}
