"""Approved documents, what is asked of them, and what is found."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass, field
from datetime import date  # noqa: TC003 - the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of a document and its paragraphs, in order."""

    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """One paragraph of a document; `index` counts from 0 through the document, no headings."""

    section: str
    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One approved document. Dates are inclusive: it may be used from approval to expiry.

    Attributes:
        audience: the words that name whom it is for; empty is everyone.
        audience_only: whether segments outside `audience` must not get it.
    """

    document_id: str
    title: str
    category: str
    sections: tuple[Section, ...]
    approval_date: date
    audience: tuple[str, ...] = ()
    audience_only: bool = False
    keywords: tuple[str, ...] = ()
    expires_on: date | None = None
    version: str = "1"
    source_url: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    def paragraphs(self) -> tuple[Paragraph, ...]:
        """The document's paragraphs, in order."""
        texts = [(part.title, text) for part in self.sections for text in part.paragraphs]
        return tuple(
            Paragraph(section=section, index=index, text=text)
            for index, (section, text) in enumerate(texts)
        )

    def is_valid(self, day: date) -> bool:
        """Whether the document may be used on `day` (a UTC date)."""
        return self.approval_date <= day and (self.expires_on is None or day <= self.expires_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a segment asks of the index.

    Attributes:
        text: the words to look for.
        top_k: how many passages to give at most, the best one of each document first.
        audience: words that name the reader; passages for that audience are raised.
        categories: only these categories; empty is all.
        excluded: ids of documents that must not be given (expired, not yet approved).
        min_score: passages below this score are left out; scores lie in [0, 1].
    """

    text: str
    top_k: int
    audience: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    min_score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One paragraph of a document, found for a query.

    Attributes:
        paragraph_index: position among the document's paragraphs, from 0; headings do not count.
        score: relevance in [0, 1], comparable within one adapter.
        fallback: whether it was not found but configured, as nothing was relevant.
    """

    document_id: str
    version: str
    title: str
    section: str
    paragraph_index: int
    text: str
    score: float
    category: str = ""
    fallback: bool = False
