"""Documents that give orders to a language model, found by a service that looks for them.

The product's own check reads sentences at retrieval; this one, where it is switched on, reads whole
documents before they are indexed. It fails closed: a document that cannot be looked at is not used.
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
    """The documents without an attack, and the ids of those with one.

    Args:
        documents: the approved content.
        shield: who is asked about each of them.
        skip: whether what attacks is left out; otherwise it is an error.
        workers: how many are asked about at a time.

    Raises:
        DataError: a document attacks and is not to be skipped, or every one does; it names them.
        ProviderError: a document could not be looked at; those that were need no second look.
    """
    asked = [partial(shield, shielded_text(document)) for document in documents]
    attacks = run_concurrently(asked, workers)
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
    """All that a writer could come to read of a document."""
    parts = [document.title, *document.keywords, *document.audience]
    for section in document.sections:
        parts += [section.title, *section.paragraphs]
    return "\n\n".join(parts)
