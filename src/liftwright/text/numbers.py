"""Numbers in digits and in words, as expressions and as decimals."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = (  # noqa: SIM905 - read as a text
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905 - read as a text
_SPELLED = {word: number for number, word in enumerate(_UNITS)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1_000,
    "k": 1_000,
    "million": 1_000_000,
    "m": 1_000_000,
    "billion": 1_000_000_000,
    "bn": 1_000_000_000,
}
_FRACTIONS = {"\u00bd": "0.5", "\u00bc": "0.25", "\u00be": "0.75"}
_ONE_WORD = "|".join(sorted([*_UNITS, *_TENS], key=len, reverse=True))
_TENS_WORD = "|".join(_TENS)
_SPELT = (
    rf"(?i:\b(?:(?:{_TENS_WORD})[- ](?:{'|'.join(_UNITS[1:10])})|{_ONE_WORD}|a(?=\ (?:hundred|"
    rf"thousand|million|dozen)\b))(?:[ -](?:hundred|thousand|million|billion|dozen)"
    rf"(?:\ and\ (?:(?:{_TENS_WORD})[- ](?:{'|'.join(_UNITS[1:10])})|{_ONE_WORD}))?)?\b|\bdozen\b)"
)
_DIGITS = r"(?<![\w.,])(?:\d{1,15}(?:[.,]\d{1,9}){0,5}[\u00bd\u00bc\u00be]?|[\u00bd\u00bc\u00be])"
NUMBER = rf"(?:{_DIGITS}(?:[ -]?(?i:hundred|thousand|million|billion|dozen)\b)?|{_SPELT})"
AMOUNT = r"\d{1,15}(?:[.,]\d{1,9}){0,5}(?:\s?(?i:thousand|million|billion)\b|(?i:k|m|bn)\b)?"


def read_amount(text: str) -> Decimal:
    """An amount with a scale that may touch it: `1.2k`, `2 million`."""
    digits = re.match(r"[\d.,]+", text)
    plain = digits[0] if digits else "0"
    scale = _SCALES.get(text[len(plain) :].strip(), 1)
    return _decimal(plain) * scale


def read_number(text: str) -> Decimal:
    """A number in digits or in words."""
    text = text.lower().strip()
    if text[:1].isdigit() or text[:1] in _FRACTIONS:
        digits = re.match(r"[\d.,\u00bd\u00bc\u00be]+", text)
        plain = digits[0] if digits else "0"
        scale = _SCALES.get(text[len(plain) :].strip(" -"), 1)
        return _decimal(plain) * scale
    total = part = 0
    for word in re.findall(r"[a-z]+", text):
        if word in _SCALES:
            total, part = total + (part or 1) * _SCALES[word], 0
        elif word != "a":
            part += _SPELLED.get(word, 0)
    return Decimal(total + part)


def _decimal(text: str) -> Decimal:
    """Digits with separators: `1,299.00`, `1.299,00`, `4,50` (a decimal comma), `1,299`."""
    fraction = Decimal(0)
    if text[-1] in _FRACTIONS:
        fraction = Decimal(_FRACTIONS[text[-1]])
        text = text[:-1] or "0"
    point = max(text.rfind("."), text.rfind(","))
    if point < 0:
        return Decimal(text) + fraction
    mark, tail = text[point], text[point + 1 :]
    others = text.count("." if mark == "," else ",")
    grouped = re.fullmatch(r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3}){2,}", text)
    if grouped or (text.count(mark) > 1 and not others):
        return Decimal(re.sub(r"[.,]", "", text)) + fraction
    return Decimal(f"{re.sub(r'[.,]', '', text[:point])}.{tail}") + fraction


def plain(number: Decimal) -> str:
    """A decimal without exponent and idle zeros: 1299, 4.5."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
