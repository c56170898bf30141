"""Splits a message into the parts that are screened separately."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.text import sentences, visible_text, without_citations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.model import Finding, Variant
    from liftwright.model.checks import Message

# Long sentences are split into overlapping windows, so that a model reads all of the text.
_WINDOW_WORDS = 60
_WINDOW_STEP = 45
_WINDOW_CHARACTERS = 1000
_MARKDOWN_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\(([^()\s]{1,2000})")
_ATTRIBUTE = re.compile(
    r"""\b(?:href|src|alt|title|aria-label)\s{0,4}=\s{0,4}(?:"([^"]{1,2000})"|'([^']{1,2000})')""",
    re.IGNORECASE,
)
_ANCHOR = re.compile(r"<a\b[^<>]{0,2000}>([^<]{1,500})", re.IGNORECASE)
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"')\]]{1,2000}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A text to be screened, and its position in the message.

    Attributes:
        start, end: character offsets in the subject or body; None if the text is not a slice.
        exact: whether the text is identical to the characters from start to end.
    """

    text: str
    where: str
    start: int | None = None
    end: int | None = None
    exact: bool = False

    def locate(self, finding: Finding) -> Finding:
        """A finding in this part, with its position in the message."""
        start, end = self.start, self.end
        if self.exact and start is not None and None not in (finding.start, finding.end):
            start, end = start + int(finding.start or 0), start + int(finding.end or 0)
        return replace(finding, where=self.where, start=start, end=end)


def message_parts(message: Message | Variant) -> list[Part]:
    """The parts of a message that are screened: its subject and the parts of its body."""
    if message.subject is None:
        return parts_of(message.body, "text")
    subject = Part(message.subject, "subject", 0, len(message.subject), exact=True)
    return [subject, *parts_of(message.body, "body")]


def parts_of(text: str, whole: str) -> list[Part]:
    """The whole text, its sentences in windows that a model can read, and its link texts."""
    parts = [Part(text, whole, 0, len(text), exact=True), Part(visible_text(text), whole)]
    for number, span in enumerate(sentences(text), start=1):
        for start, end in _windows(span.text):
            raw = span.text[start:end]
            window = without_citations(raw)
            offsets = (span.start + start, span.start + end)
            parts.append(Part(window, f"sentence {number}", *offsets, exact=window == raw))
    # Markup can make the splitter break a sentence that a reader sees as one.
    parts += [Part(span.text, "sentence") for span in sentences(visible_text(text))]
    parts += [Part(link_text, "link") for link_text in _link_texts(text)]
    seen: set[str] = set()
    kept = [parts[0]]
    for part in parts[1:]:
        key = part.text.strip()
        if key and key != text.strip() and key not in seen:
            seen.add(key)
            kept.append(part)
    return kept


def _windows(sentence: str) -> Iterator[tuple[int, int]]:
    ends = [word.span() for word in re.finditer(rf"\S{{1,{_WINDOW_CHARACTERS}}}", sentence)]
    first = 0
    while True:
        last, start = first, ends[first][0] if ends else 0
        while (
            last + 1 < len(ends)
            and last + 1 < first + _WINDOW_WORDS
            and ends[last + 1][1] - start <= _WINDOW_CHARACTERS
        ):
            last += 1
        yield start, ends[last][1] if ends else len(sentence)
        if last + 1 >= len(ends):
            return
        first = min(first + _WINDOW_STEP, last + 1) if last > first else last + 1


def _link_texts(text: str) -> Iterator[str]:
    """Link texts, URLs and alt texts."""
    for pattern in (_MARKDOWN_LINK, _ATTRIBUTE, _ANCHOR):
        for match in pattern.finditer(text):
            yield from (group for group in match.groups() if group)
    for match in _URL.finditer(text):
        yield match[0]
