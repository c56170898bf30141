"""The port `index` on Azure AI Search: each corpus has an index of its own, behind one alias.

The index is named after what is in it. It is filled to the end, counted, and only then does the
alias lead to it: who asks through the alias never sees half of it, and a process that dies leaves
the alias where it was. What it has put there is not put there again.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from liftwright.adapters.azure.search_client import (
    PRINT_HEX,
    PROVIDER,
    SearchService,
    needed_embedder,
    search_identity,
    status_of,
)
from liftwright.adapters.azure.search_fields import FORMAT, KEY, VECTOR, index_definition, rows_of
from liftwright.errors import InputError, ProviderRefused, ProviderUnavailable
from liftwright.log import event
from liftwright.model import fingerprint
from liftwright.ports import IndexNames, IndexReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from azure.core.credentials import TokenCredential

    from liftwright.adapters.azure import AzureSearch
    from liftwright.adapters.azure.search_fields import Row
    from liftwright.model import Document
    from liftwright.ports import Embed

    Vector = list[float]

__all__ = ["AzureSearchIndex", "DocumentsRefused"]

R = TypeVar("R")

BATCH = 100
# Rows of 3,072 numbers each: a page of these stays well below what one answer may weigh.
PAGE = 200
NOT_FOUND = 404
# A document that its index is too busy for; all else about one lasts.
BUSY = frozenset({409, 422, 429, 503})
SETTLING_WAIT_SECONDS = 1.0
SETTLING_WAITS = 30
SHOWN_ERRORS = 5


class Attempt(Protocol):
    """Makes one request, and makes it again where that may help."""

    def __call__(self, ask: Callable[[], R], /) -> R:
        """What `ask` gives."""
        ...


class DocumentsRefused(ProviderRefused):
    """The service did not take some passages; the index before is still in use.

    Attributes:
        report: what was done, with one error for each passage.
    """

    def __init__(self, message: str, report: IndexReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(slots=True)
class _Fill:
    """What is under way: the rows of one index, and what is known of them."""

    name: str
    rows: Sequence[Row]
    prints: Mapping[str, str]
    vectors: dict[str, Vector] = field(default_factory=dict)
    embedded: int = 0
    errors: list[str] = field(default_factory=list)


class AzureSearchIndex:
    """The port `index`; what has not changed is neither embedded nor sent again.

    Args:
        config: the service, the alias, and what an index is to have.
        embed: turns passages into vectors; None where `azure_search.vectors` is false.
        api_key: the service's admin key; None where a credential is given.
        credential: who we are to Microsoft Entra ID; None where a key is given.
        timeout_seconds: how long one request may stay unanswered.
        attempt: makes each request, as the retry layer does; once, where there is none.
        wait: waits for seconds, until the service has counted what it took.

    Raises:
        ConfigurationError: where address, key or embedder are missing or wrong.
    """

    metered = True

    def __init__(  # noqa: PLR0913 - what the service, its patience and its retries depend on
        self,
        config: AzureSearch,
        embed: Embed | None,
        *,
        api_key: str | None = None,
        credential: TokenCredential | None = None,
        timeout_seconds: float = 30.0,
        attempt: Attempt | None = None,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._embed = needed_embedder(config, embed)
        self.identity = search_identity(config, self._embed, "")
        self.uses_vectors = self._embed is not None
        self._config = config
        self._service = SearchService(
            config, api_key=api_key, credential=credential, timeout_seconds=timeout_seconds
        )
        self._attempt: Attempt = attempt or _once
        self._wait = wait

    def __call__(
        self, request: tuple[Document, ...], /, *, progress: Callable[[int, int], None]
    ) -> IndexReport:
        """Index exactly these documents, and let the alias lead to them.

        Raises:
            DocumentsRefused: where the service did not take a passage.
            ProviderRefused: on credentials, rights, quota, or an index of the name that holds more.
            ProviderUnavailable: on a passing fault; called again, it goes on where it stopped.
        """
        fill = self._planned(request)
        current = self._current()
        before = self._before(fill, current)
        count = self._count(fill.name)
        if count != len(fill.rows):
            self._fill(fill, progress, is_new=count is None)
        if current != fill.name:
            self._switch(fill.name)
        progress(len(fill.rows), len(fill.rows))
        return _report(fill, before)

    def remove_old(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Delete the indexes of other corpora; the one that the alias leads to stays.

        Args:
            keep: names of further indexes that stay, such as those that runs still search.

        Returns:
            The names of those that were deleted.

        Raises:
            InputError: where nothing says which one is in use.
        """
        found = self.index_names()
        if not keep and found.in_use is None:
            raise InputError(
                f"{self._config.index}: no alias leads to an index; name in `keep` what stays"
            )
        old = tuple(name for name in found.others if name not in keep)
        for name in old:
            self._asked("removal", partial(self._service.indexes.delete_index, name))
            event("old_index_removed", agent=PROVIDER, index=name)
        return old

    def index_names(self) -> IndexNames:
        """The index that the alias leads to, and the others that were made for it."""
        current = self._current()
        indexes = self._service.indexes
        names = self._asked("list of indexes", lambda: list(indexes.list_index_names()))
        own = re.compile(rf"{re.escape(self._config.index)}-[0-9a-f]{{{PRINT_HEX}}}")
        others = sorted(name for name in names if own.fullmatch(name) and name != current)
        return IndexNames(in_use=current, others=tuple(others))

    def _planned(self, documents: Sequence[Document]) -> _Fill:
        embedder = fingerprint(self._embed.identity) if self._embed else ""
        prints = {document.document_id: fingerprint(document) for document in documents}
        rows = [row for document in documents for row in rows_of(document, embedder=embedder)]
        mark = fingerprint(FORMAT, embedder, self._config.semantic_configuration, prints)
        name = f"{self._config.index}-{mark[:PRINT_HEX]}"
        return _Fill(name=name, rows=rows, prints=prints)

    def _asked(self, what: str, ask: Callable[[], R]) -> R:
        """One request, with our errors, through whoever repeats it."""

        def once() -> R:
            with self._service.asking(what):
                return ask()

        return self._attempt(once)

    # ── What is there ──

    def _current(self) -> str | None:
        """The index that the alias leads to."""
        if not self._service.has_aliases:
            return None
        try:
            return self._asked("alias", lambda: self._service.alias(self._config.index))
        except ProviderRefused as error:
            if status_of(error) == NOT_FOUND:
                return None
            raise

    def _count(self, name: str) -> int | None:
        """How many rows an index has; None where there is none of the name."""
        try:
            return self._asked(
                "count", lambda: int(self._service.documents(name).get_document_count())
            )
        except ProviderRefused as error:
            if status_of(error) == NOT_FOUND:
                return None
            raise

    def _before(self, fill: _Fill, current: str | None) -> Mapping[str, str]:
        """The fingerprints of the documents in use, and their vectors for `fill`."""
        if current == fill.name:
            return fill.prints
        if current is None:
            return {}
        wanted = ("document_id", "document_print", "digest")
        try:
            found = self._rows(current, (*wanted, VECTOR) if self._embed else wanted)
        except ProviderRefused as error:
            # Made by another version of this product, or deleted by hand: nothing to take over.
            event(
                "index_before_not_read",
                agent=PROVIDER,
                level="warning",
                index=current,
                status=status_of(error),
            )
            return {}
        for row in found:
            if row.get(VECTOR):
                fill.vectors[str(row["digest"])] = [float(value) for value in row[VECTOR]]  # type: ignore[attr-defined] # checked by `asking` of the page
        return {str(row["document_id"]): str(row["document_print"]) for row in found}

    def _rows(self, name: str, fields: Sequence[str]) -> list[Mapping[str, object]]:
        """All rows of an index, page by page in the order of their keys."""
        found: list[Mapping[str, object]] = []
        while True:
            after = f"{KEY} gt '{found[-1][KEY]}'" if found else None
            page = self._asked("rows", partial(self._page, name, fields, after))
            if not page:
                return found
            found += page

    def _page(
        self, name: str, fields: Sequence[str], after: str | None
    ) -> list[Mapping[str, object]]:
        client = self._service.documents(name)
        select = [KEY, *fields]
        found = client.search("*", filter=after, order_by=[f"{KEY} asc"], select=select, top=PAGE)
        page: list[Mapping[str, object]] = list(next(found.by_page(), ()))
        for row in page:
            if not isinstance(row[KEY], str) or not all(name in row for name in fields):
                raise ValueError(name)
        return page

    # ── Filling ──

    def _fill(self, fill: _Fill, progress: Callable[[int, int], None], *, is_new: bool) -> None:
        dimensions = self._dimensions()
        definition = index_definition(
            fill.name,
            semantic_configuration=self._config.semantic_configuration,
            dimensions=dimensions,
        )

        def make() -> None:
            if self._service.indexes.create_or_update_index(definition).name != fill.name:
                raise ValueError(fill.name)

        self._asked("index", make)
        present = set() if is_new else {str(row[KEY]) for row in self._rows(fill.name, ())}
        missing = [row for row in fill.rows if row.key not in present]
        done = len(fill.rows) - len(missing)
        for first in range(0, len(missing), BATCH):
            progress(done + first, len(fill.rows))
            self._upload(fill, missing[first : first + BATCH])
        if fill.errors:
            report = _report(fill, {})
            shown = "; ".join(fill.errors[:SHOWN_ERRORS])
            raise DocumentsRefused(
                f"Azure AI Search: {len(fill.errors)} of {len(fill.rows)} passages were not "
                f"taken, and the index before stays in use: {shown}",
                replace(report, errors=tuple(fill.errors)),
            )
        self._settle(fill)
        event("index_filled", agent=PROVIDER, index=fill.name, sent=len(missing))

    def _dimensions(self) -> int | None:
        embed = self._embed
        if embed is None:
            return None
        return int(self._attempt(lambda: embed(("dimensions",))).shape[1])

    def _upload(self, fill: _Fill, batch: Sequence[Row]) -> None:
        if self._embed is not None:
            self._embed_missing(fill, batch, self._embed)
        pending = {
            row.key: {**row.fields, VECTOR: fill.vectors[row.digest]} if self._embed else row.fields
            for row in batch
        }
        lasting: dict[str, int] = {}
        client = self._service.documents(fill.name)

        def send() -> None:
            with self._service.asking("upload"):
                taken = client.upload_documents([dict(fields) for fields in pending.values()])
                results = [(one.key, one.succeeded is True, one.status_code) for one in taken]
                if {key for key, _, _ in results} != set(pending):
                    raise ValueError(fill.name)
            for key, succeeded, status in results:
                if succeeded or status not in BUSY:
                    del pending[key]
                if not succeeded and status not in BUSY:
                    lasting[key] = status
            if pending:
                raise ProviderUnavailable(
                    f"Azure AI Search (upload): {len(pending)} passages were not taken as the "
                    "index is busy"
                )

        self._attempt(send)
        fill.errors += [
            f"{row.document_id}, paragraph {row.paragraph_index}: answered {lasting[row.key]}"
            for row in batch
            if row.key in lasting
        ]

    def _embed_missing(self, fill: _Fill, batch: Sequence[Row], embed: Embed) -> None:
        texts = {r.digest: r.embedded_text for r in batch if r.digest not in fill.vectors}
        if not texts:
            return
        found = self._attempt(lambda: embed(tuple(texts.values())))
        for digest, vector in zip(texts, found, strict=True):
            fill.vectors[digest] = vector.tolist()
        fill.embedded += len(texts)

    def _settle(self, fill: _Fill) -> None:
        """Wait until the service counts what it took; it takes first and indexes later."""
        expected = len(fill.rows)
        count = 0
        for tried in range(SETTLING_WAITS + 1):
            count = self._count(fill.name) or 0
            if count == expected:
                return
            if count > expected:
                raise ProviderRefused(
                    f"Azure AI Search: {fill.name} holds {count} passages, where {expected} were "
                    "put; someone else has written to it: delete it, and index again"
                )
            if tried < SETTLING_WAITS:
                self._wait(SETTLING_WAIT_SECONDS)
        raise ProviderUnavailable(
            f"Azure AI Search: {fill.name} holds {count} of {expected} passages; the index before "
            "stays in use"
        )

    def _switch(self, name: str) -> None:
        if not self._service.has_aliases:
            event("aliases_not_supported", agent=PROVIDER, level="warning", index=name)
            return

        def switch() -> None:
            if self._service.move_alias(self._config.index, name) != name:
                raise ValueError(name)

        self._asked("alias", switch)
        event("index_switched", agent=PROVIDER, alias=self._config.index, index=name)


def _once(ask: Callable[[], R], /) -> R:
    return ask()


def _report(fill: _Fill, before: Mapping[str, str]) -> IndexReport:
    prints = fill.prints
    return IndexReport(
        name=fill.name,
        documents=len(prints),
        paragraphs=len(fill.rows),
        added=sum(key not in before for key in prints),
        changed=sum(before.get(key, value) != value for key, value in prints.items()),
        removed=sum(key not in prints for key in before),
        unchanged=sum(before.get(key) == value for key, value in prints.items()),
        embedded=fill.embedded,
    )
