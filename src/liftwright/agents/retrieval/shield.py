"""Screens documents for prompt injections with an external service.

The built-in check reads sentences at retrieval; this optional one reads whole documents before they
are indexed. It fails closed: a document that cannot be screened is not used.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from liftwright.calls.concurrency import run_concurrently
from liftwright.errors import DataError
from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.model import Document
    from liftwright.ports import Shield

__all__ = ["shield_documents", "shielded_text"]


def shield_documents(
    documents: Sequence[Document], shield: Shield, *, skip: bool, workers: int
) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """Split documents into those without a prompt injection, and the ids of those with one.

    Args:
        documents: the approved content.
        shield: the service that screens a text.
        skip: whether documents with an injection are skipped; otherwise they are an error.
        workers: how many documents are screened at a time.

    Raises:
        DataError: a document has an injection and is not skipped, or all have one; it names them.
        ProviderError: a document could not be screened.
    """
    calls = [partial(shield, shielded_text(document)) for document in documents]
    attacks = run_concurrently(calls, workers)
    pairs = tuple(zip(documents, attacks, strict=True))
    kept = tuple(document for document, attack in pairs if not attack)
    blocked = tuple(document.document_id for document, attack in pairs if attack)
    for name in blocked:
        event("document_blocked", agent="retrieval", level="warning", document_id=name)
    event("documents_shielded", agent="retrieval", documents=len(pairs), blocked=len(blocked))
    if blocked and not (skip and kept):
        named = ", ".join(map(repr, blocked))
        raise DataError(
            f"content: document_id {named}: found a prompt injection, according to "
            f"{shield.identity.provider}; allowed: documents without one. Correct them, or set "
            "content.on_bad_documents: skip, which needs at least one other document"
        )
    return kept, blocked


def shielded_text(document: Document) -> str:
    """All text of a document that a writer may see."""
    parts = [document.title, *document.keywords, *document.audience]
    for section in document.sections:
        parts += [section.title, *section.paragraphs]
    return "\n\n".join(parts)
