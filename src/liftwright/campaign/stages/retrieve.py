"""From the approved content to the passages of each segment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from liftwright.agents import retrieval
from liftwright.agents.segmentation import Segmentation
from liftwright.calls.retry import at_once
from liftwright.content.documents import invalid_on
from liftwright.log import event
from liftwright.model.artifacts import Indexed
from liftwright.ports import KeepsIndexes

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work
    from liftwright.model import Document, Passage, Segment


def index(work: Work) -> str:
    """The approved content, searchable; documents that are not valid today are listed."""
    documents, blocked = shielded(work, work.corpus.documents)
    report = work.index(documents)
    excluded = invalid_on(documents, work.run.valid_on)
    if excluded:
        ids = [document.document_id for document in excluded]
        event("documents_excluded", agent="retrieval", level="warning", documents=ids)
    work.folder.write(
        "index.json",
        Indexed(
            name=report.name,
            documents=report.documents,
            paragraphs=report.paragraphs,
            excluded=tuple(document.document_id for document in excluded),
            skipped=work.corpus.skipped,
            blocked=blocked,
        ),
    )
    return f"Indexed {report.documents} documents successfully. {len(report.errors)} errors."


def index_is_there(work: Work) -> bool:
    """Whether the run's index can still be searched; not known of a service that keeps no list."""
    keeper = work.ports.index
    if not isinstance(keeper, KeepsIndexes):
        return False
    kept = work.calls.make("index", keeper.kept, local=not keeper.metered)
    return work.folder.read("index.json", Indexed).name in (kept.in_use, *kept.others)


def retrieve(work: Work) -> str:
    """For each segment the approved passages that fit it."""
    indexed = work.folder.read("index.json", Indexed)
    documents = tuple(
        document
        for document in work.corpus.documents
        if document.document_id not in indexed.blocked
    )
    search = retrieval.CachedRetriever(work.search(indexed.name))
    segments = work.folder.read("segments.json", Segmentation).segments

    def find(segment: Segment) -> tuple[Passage, ...]:
        return retrieval.retrieve(
            segment,
            search,
            documents=documents,
            config=work.settings.experiment.retrieval,
            excluded=indexed.excluded,
        )

    # What searches on this machine has all its processors already.
    workers = work.concurrency if search.metered else 1
    found = at_once([partial(find, one) for one in segments], workers)
    passages = {one.label: of_one for one, of_one in zip(segments, found, strict=True)}
    work.folder.write("passages.json", passages)
    return f"{sum(map(len, passages.values()))} passages for {len(segments)} segments"


def shielded(
    work: Work, documents: tuple[Document, ...]
) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The documents that may be indexed, and the ids of those that the shield keeps out."""
    shield = work.shield
    if shield is None:
        return documents, ()
    return retrieval.shield_documents(
        documents,
        shield,
        skip=work.settings.experiment.content.on_bad_documents == "skip",
        workers=work.settings.services.calls.concurrency,
    )
