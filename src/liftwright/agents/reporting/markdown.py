"""Markdown for notebook cells: escaping, tables and number formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.model import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from liftwright.analysis.result import Interval

NOT_AVAILABLE = "–"  # noqa: RUF001 - a dash as in printed tables
_MARKED = re.compile(r"([\\`*_\[\]|~])")
_LEADING = re.compile(r"^(\d+(?=[.)])|(?=[#+=>-]))")
_MIN_SHOWN_P = 0.001
_STARS = ((0.001, "***"), (0.01, "**"))
_METRICS = {metric.name: metric.label for metric in METRICS}


@dataclass(frozen=True, slots=True)
class Markdown:
    """Markdown that a notebook cell displays."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def paragraphs(*parts: str | Markdown | None) -> Markdown:
    """The parts as paragraphs; empty ones are dropped."""
    return Markdown("\n\n".join(str(part) for part in parts if part is not None and str(part)))


def escape(text: object) -> str:
    """Escape text for Markdown, on one line."""
    line = " ".join(str(text).split())
    # Entities, because a backslash does not prevent `$` from starting a formula.
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace("$", "&#36;")
    return _LEADING.sub(r"\1\\", _MARKED.sub(r"\\\1", line))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table.

    Args:
        columns: the headings; a leading `>` aligns the column to the right.
        rows: the cells; everything except `SafeMarkdown` is escaped.
    """
    heads = [column.removeprefix(">") for column in columns]
    rule = ["---:" if column.startswith(">") else ":---" for column in columns]
    lines = [[escape(head) for head in heads], rule]
    lines += [[_cell(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class SafeMarkdown(str):
    """Markdown that needs no escaping in a table cell."""

    __slots__ = ()


def callout(text: str) -> str:
    """A highlighted block; `text` is Markdown."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def bullets(items: Iterable[str]) -> str:
    """A bullet list of Markdown lines; empty without items."""
    return "\n".join(f"- {item}" for item in items)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return NOT_AVAILABLE if value is None else _minus(f"{value:.{digits}%}")


def signed_percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage with its sign."""
    return NOT_AVAILABLE if value is None else _minus(f"{value:+.{digits}%}")


def interval(ends: Interval | None) -> str:
    """An interval of a lift, as percentages."""
    return (
        NOT_AVAILABLE if ends is None else f"{signed_percent(ends[0])} to {signed_percent(ends[1])}"
    )


def number(value: float | None, digits: int = 2) -> str:
    """A number with thousands separators."""
    return NOT_AVAILABLE if value is None else _minus(f"{value:,.{digits}f}")


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return NOT_AVAILABLE if value is None else f"{value:,.0f}"


def metric_value(value: float | None, kind: str) -> str:
    """A metric's value: a rate as a percentage, a mean as a number."""
    return percent(value) if kind == "binary" else number(value)


def p_value(value: float | None) -> str:
    """A p-value with three digits, or `< 0.001`."""
    if value is None:
        return NOT_AVAILABLE
    return f"< {_MIN_SHOWN_P}" if value < _MIN_SHOWN_P else f"{value:.3f}"


def stars(p_adjusted: float | None, *, significant: bool) -> str:
    """The significance stars of a row: more for a smaller adjusted p."""
    if p_adjusted is None:
        return NOT_AVAILABLE
    if not significant:
        return "no"
    return next((marks for limit, marks in _STARS if p_adjusted < limit), "*")


def metric_label(metric: str) -> str:
    """A metric's label."""
    return _METRICS.get(metric, metric.replace("_", " "))


def code(text: str) -> SafeMarkdown:
    """Inline code."""
    return SafeMarkdown(f"`{text.replace('`', '')}`")


def label_metrics(text: str) -> str:
    """A text with the names of metrics replaced by their labels."""
    for metric, name in _METRICS.items():
        text = text.replace(metric, name)
    return text


def join_list(items: Sequence[str]) -> str:
    """Join items as in `a, b and c`."""
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1]))) if items else "none"


def plural(number_of: int, word: str) -> str:
    """A number with its noun in the singular or plural."""
    return f"{number_of:,} {word}" if number_of == 1 else f"{number_of:,} {word}s"


def _cell(value: object) -> str:
    return (
        value
        if isinstance(value, SafeMarkdown)
        else escape(NOT_AVAILABLE if value is None else value)
    )


def _minus(text: str) -> str:
    return text.replace("-", "−")  # noqa: RUF001 - the typographic minus sign
