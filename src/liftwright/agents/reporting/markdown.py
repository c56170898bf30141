"""Text for a notebook's cell: Markdown that shows any words as they are, and tables of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.model import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from liftwright.analysis.result import Interval

NOT_THERE = "–"  # noqa: RUF001 - a dash as in printed tables
_MARKED = re.compile(r"([\\`*_\[\]|~])")
_LEADING = re.compile(r"^(\d+(?=[.)])|(?=[#+=>-]))")
_SMALLEST_P = 0.001
_STARS = ((0.001, "***"), (0.01, "**"))
_METRICS = {metric.name: metric.label for metric in METRICS}


@dataclass(frozen=True, slots=True)
class Words:
    """Markdown as a cell shows it."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def joined(*parts: str | Words | None) -> Words:
    """The parts that are there, as paragraphs of one text."""
    return Words("\n\n".join(str(part) for part in parts if part is not None and str(part)))


def plain(text: object) -> str:
    """Text of others as Markdown that shows it unchanged, in one line."""
    line = " ".join(str(text).split())
    # As entities: a backslash does not keep a dollar sign from being read as mathematics.
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace("$", "&#36;")
    return _LEADING.sub(r"\1\\", _MARKED.sub(r"\\\1", line))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table.

    Args:
        columns: the headings; one that begins with `>` is of a column of numbers, set right.
        rows: cells; a str that is a `Marked` is Markdown already, anything else is shown as is.
    """
    heads = [column.removeprefix(">") for column in columns]
    rule = ["---:" if column.startswith(">") else ":---" for column in columns]
    lines = [[plain(head) for head in heads], rule]
    lines += [[_cell(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Marked(str):
    """Markdown that was made so on purpose: a cell that may hold it."""

    __slots__ = ()


def callout(text: str) -> str:
    """A paragraph that must not be overlooked; `text` is Markdown."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def bullets(items: Iterable[str]) -> str:
    """A list of Markdown lines; empty where there is none."""
    return "\n".join(f"- {item}" for item in items)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return NOT_THERE if value is None else _minus(f"{value:.{digits}%}")


def signed(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage with its sign."""
    return NOT_THERE if value is None else _minus(f"{value:+.{digits}%}")


def interval(ends: Interval | None) -> str:
    """Both ends of an interval of a lift."""
    return NOT_THERE if ends is None else f"{signed(ends[0])} to {signed(ends[1])}"


def number(value: float | None, digits: int = 2) -> str:
    """A number with its thousands parted."""
    return NOT_THERE if value is None else _minus(f"{value:,.{digits}f}")


def count(value: float | None) -> str:
    """A whole number with its thousands parted."""
    return NOT_THERE if value is None else f"{value:,.0f}"


def level(value: float | None, kind: str) -> str:
    """A metric's value: a rate as a percentage, a mean as a number."""
    return percent(value) if kind == "binary" else number(value)


def p_value(value: float | None) -> str:
    """A p-value with three digits; smaller ones as such."""
    if value is None:
        return NOT_THERE
    return f"< {_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.3f}"


def stars(p_adjusted: float | None, *, significant: bool) -> str:
    """The mark of a significant row: more stars for a smaller adjusted p."""
    if p_adjusted is None:
        return NOT_THERE
    if not significant:
        return "no"
    return next((marks for limit, marks in _STARS if p_adjusted < limit), "*")


def metric_name(metric: str) -> str:
    """A metric in words."""
    return _METRICS.get(metric, metric.replace("_", " "))


def code(text: str) -> Marked:
    """A command or a name of the machine's, as such."""
    return Marked(f"`{text.replace('`', '')}`")


def in_words(text: str) -> str:
    """A text of the product's with the metrics called what people call them."""
    for metric, name in _METRICS.items():
        text = text.replace(metric, name)
    return text


def listed(items: Sequence[str]) -> str:
    """Items as a phrase: a, b and c."""
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1]))) if items else "none"


def plural(number_of: int, word: str) -> str:
    """A number and its noun."""
    return f"{number_of:,} {word}" if number_of == 1 else f"{number_of:,} {word}s"


def _cell(value: object) -> str:
    return value if isinstance(value, Marked) else plain(NOT_THERE if value is None else value)


def _minus(text: str) -> str:
    return text.replace("-", "−")  # noqa: RUF001 - the sign, as wide as the plus
