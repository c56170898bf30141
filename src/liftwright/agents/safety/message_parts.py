"""The parts of a message that are screened, each for itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.text import sentences, visible_text, without_citations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.model import Finding, Variant
    from liftwright.model.checks import Message

# A sentence without an end would push its harm beyond what a model reads; windows overlap.
_PIECE_WORDS = 60
_PIECE_STEP = 45
_PIECE_CHARACTERS = 1000
_MARKDOWN_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\(([^()\s]{1,2000})")
_ATTRIBUTE = re.compile(
    r"""\b(?:href|src|alt|title|aria-label)\s{0,4}=\s{0,4}(?:"([^"]{1,2000})"|'([^']{1,2000})')""",
    re.IGNORECASE,
)
_ANCHOR = re.compile(r"<a\b[^<>]{0,2000}>([^<]{1,500})", re.IGNORECASE)
_ADDRESS = re.compile(r"\b(?:https?://|www\.)[^\s<>\"')\]]{1,2000}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A text to be screened, and where it stands in the message.

    Attributes:
        start, end: characters of the subject or the body; None where it is not a piece of it.
        exact: whether it is those characters, one by one.
    """

    text: str
    where: str
    start: int | None = None
    end: int | None = None
    exact: bool = False

    def place(self, finding: Finding) -> Finding:
        """A finding in this part, placed in the message."""
        start, end = self.start, self.end
        if self.exact and start is not None and None not in (finding.start, finding.end):
            start, end = start + int(finding.start or 0), start + int(finding.end or 0)
        return replace(finding, where=self.where, start=start, end=end)


def message_parts(message: Message | Variant) -> list[Part]:
    """The parts of a message that are screened: its subject, and those of its body."""
    if message.subject is None:
        return parts_of(message.body, "text")
    subject = Part(message.subject, "subject", 0, len(message.subject), exact=True)
    return [subject, *parts_of(message.body, "body")]


def parts_of(text: str, whole: str) -> list[Part]:
    """The text as a whole, its sentences in pieces a model can read, and what links carry."""
    parts = [Part(text, whole, 0, len(text), exact=True), Part(visible_text(text), whole)]
    for number, span in enumerate(sentences(text), start=1):
        for start, end in _pieces(span.text):
            cut = span.text[start:end]
            piece = without_citations(cut)
            place = (span.start + start, span.start + end)
            parts.append(Part(piece, f"sentence {number}", *place, exact=piece == cut))
    # Mark-up can part a sentence for the splitter that a reader sees as one.
    parts += [Part(span.text, "sentence") for span in sentences(visible_text(text))]
    parts += [Part(carried, "link") for carried in _carried(text)]
    seen: set[str] = set()
    kept = [parts[0]]
    for part in parts[1:]:
        key = part.text.strip()
        if key and key != text.strip() and key not in seen:
            seen.add(key)
            kept.append(part)
    return kept


def _pieces(sentence: str) -> Iterator[tuple[int, int]]:
    ends = [found.span() for found in re.finditer(rf"\S{{1,{_PIECE_CHARACTERS}}}", sentence)]
    first = 0
    while True:
        last, start = first, ends[first][0] if ends else 0
        while (
            last + 1 < len(ends)
            and last + 1 < first + _PIECE_WORDS
            and ends[last + 1][1] - start <= _PIECE_CHARACTERS
        ):
            last += 1
        yield start, ends[last][1] if ends else len(sentence)
        if last + 1 >= len(ends):
            return
        first = min(first + _PIECE_STEP, last + 1) if last > first else last + 1


def _carried(text: str) -> Iterator[str]:
    """Texts and addresses of links, and alternative texts."""
    for pattern in (_MARKDOWN_LINK, _ATTRIBUTE, _ANCHOR):
        for found in pattern.finditer(text):
            yield from (group for group in found.groups() if group)
    for found in _ADDRESS.finditer(text):
        yield found[0]
