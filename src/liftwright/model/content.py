"""Approved documents, search queries and passages."""

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
    """One paragraph of a document; `index` counts paragraphs from 0, without headings."""

    section: str
    index: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document, usable from `approval_date` to `expires_on`, both included.

    Attributes:
        approval_date: None if unknown; such a document can be searched, but no run uses it.
        audience: words for the intended readers; empty means everyone.
        audience_only: whether the document is restricted to `audience`.
    """

    document_id: str
    title: str
    category: str
    sections: tuple[Section, ...]
    approval_date: date | None
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
        approved = self.approval_date is not None and self.approval_date <= day
        return approved and (self.expires_on is None or day <= self.expires_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search query for a segment.

    Attributes:
        text: the words to search for.
        top_k: the maximum number of passages, one per document.
        audience: words for the readers; documents for that audience rank higher.
        categories: only these categories; empty means all.
        excluded: ids of documents to leave out (expired, not yet approved).
        min_score: passages with a lower score are left out; scores are in [0, 1].
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
        fallback: whether it is a configured fallback, used when nothing relevant was found.
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
