"""The port `index` on Azure AI Search: one index per corpus, behind an alias.

An index is named by the fingerprint of its contents. The alias moves to it only when it is complete
and counted, so no query through the alias sees a partial index, and a process that dies leaves the
alias unchanged. Passages that are already in the index are not uploaded again.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from liftwright.adapters.azure.search_client import (
    PRINT_HEX,
    PROVIDER,
    SearchService,
    embedder_for,
    search_identity,
    status_of,
)
from liftwright.adapters.azure.search_fields import (
    FORMAT,
    KEY,
    VECTOR,
    index_definition,
    passages_of,
)
from liftwright.errors import InputError, ProviderRefused, ProviderUnavailable
from liftwright.log import event
from liftwright.model import fingerprint
from liftwright.ports import IndexNames, IndexReport, check_length

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from azure.core.credentials import TokenCredential

    from liftwright.adapters.azure import AzureSearch
    from liftwright.adapters.azure.search_fields import IndexedPassage
    from liftwright.model import Document
    from liftwright.ports import Embed

    Vector = list[float]

__all__ = ["AzureSearchIndex", "DocumentsRefused"]

R = TypeVar("R")

BATCH = 100
# With vectors of 3,072 numbers, such a page stays well below the limit of a response.
PAGE = 200
NOT_FOUND = 404
# The index is too busy for a document; any other status of a document is permanent.
BUSY = frozenset({409, 422, 429, 503})
SETTLING_WAIT_SECONDS = 1.0
SETTLING_WAITS = 30
SHOWN_ERRORS = 5


class DocumentsRefused(ProviderRefused):
    """The service refused some passages; the previous index stays in use.

    Attributes:
        report: with one error per refused passage.
    """

    def __init__(self, message: str, report: IndexReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(slots=True)
class _Build:
    """The state of building one index."""

    name: str
    passages: Sequence[IndexedPassage]
    prints: Mapping[str, str]
    vectors: dict[str, Vector] = field(default_factory=dict)
    dimensions: int | None = None
    embedded: int = 0
    errors: list[str] = field(default_factory=list)


class AzureSearchIndex:
    """The port `index`; unchanged passages are neither embedded nor uploaded again.

    Args:
        config: the service, the alias and the index's options.
        embed: turns passages into vectors; None if `azure_search.vectors` is false.
        api_key: the service's admin key; None if a credential is given.
        credential: a credential of Microsoft Entra ID; None if a key is given.
        timeout_seconds: the time-out of one request.
        wait: waits for a number of seconds until the service has counted the uploads.

    Raises:
        ConfigurationError: the address, key or embedder is missing or wrong.
    """

    metered = True

    def __init__(  # noqa: PLR0913 - the service and its limits
        self,
        config: AzureSearch,
        embed: Embed | None,
        *,
        api_key: str | None = None,
        credential: TokenCredential | None = None,
        timeout_seconds: float = 30.0,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._embed = embedder_for(config, embed)
        self.identity = search_identity(config, self._embed, "")
        self.uses_vectors = self._embed is not None
        self._config = config
        self._service = SearchService(
            config, api_key=api_key, credential=credential, timeout_seconds=timeout_seconds
        )
        self._wait = wait

    def __call__(
        self, request: tuple[Document, ...], /, *, progress: Callable[[int, int], None]
    ) -> IndexReport:
        """Index exactly these documents, and point the alias to the index.

        Raises:
            DocumentsRefused: the service refused a passage.
            ProviderRefused: credentials, permissions, quota, or the index has more passages.
            ProviderUnavailable: a temporary error; another call resumes the indexing.
        """
        build = self._plan(request)
        current = self._current()
        before = self._before(build, current)
        count = self._count(build.name)
        if count != len(build.passages):
            self._fill(build, progress, is_new=count is None)
        if current != build.name:
            self._switch(build.name)
        progress(len(build.passages), len(build.passages))
        return _report(build, before)

    def remove_old(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Delete the indexes of other corpora, but not the one that the alias points to.

        Args:
            keep: names of further indexes to keep, such as those of unfinished runs.

        Returns:
            The names of the deleted indexes.

        Raises:
            InputError: it is unknown which index is in use.
        """
        names = self.index_names()
        if not keep and names.in_use is None:
            raise InputError(
                f"{self._config.index}: the alias points to no index; list in `keep` what to keep"
            )
        old = tuple(name for name in names.others if name not in keep)
        for name in old:
            self._request("removal", partial(self._service.indexes.delete_index, name))
            event("old_index_removed", agent=PROVIDER, index=name)
        return old

    def index_names(self) -> IndexNames:
        """The index that the alias points to, and the other indexes created for it."""
        current = self._current()
        indexes = self._service.indexes
        names = self._request("list of indexes", lambda: list(indexes.list_index_names()))
        ours = re.compile(rf"{re.escape(self._config.index)}-[0-9a-f]{{{PRINT_HEX}}}")
        others = sorted(name for name in names if ours.fullmatch(name) and name != current)
        return IndexNames(in_use=current, others=tuple(others))

    def _plan(self, documents: Sequence[Document]) -> _Build:
        embedder = fingerprint(self._embed.identity) if self._embed else ""
        prints = {document.document_id: fingerprint(document) for document in documents}
        passages = [p for document in documents for p in passages_of(document, embedder=embedder)]
        digest = fingerprint(FORMAT, embedder, self._config.semantic_configuration, prints)
        name = f"{self._config.index}-{digest[:PRINT_HEX]}"
        return _Build(name=name, passages=passages, prints=prints)

    def _request(self, operation: str, send: Callable[[], R]) -> R:
        with self._service.translated_errors(operation):
            return send()

    def _current(self) -> str | None:
        """The index that the alias points to."""
        if not self._service.has_aliases:
            return None
        try:
            return self._request("alias", lambda: self._service.alias(self._config.index))
        except ProviderRefused as error:
            if status_of(error) == NOT_FOUND:
                return None
            raise

    def _count(self, name: str) -> int | None:
        """The number of passages in an index; None if it does not exist."""
        try:
            return self._request(
                "count", lambda: int(self._service.documents(name).get_document_count())
            )
        except ProviderRefused as error:
            if status_of(error) == NOT_FOUND:
                return None
            raise

    def _before(self, build: _Build, current: str | None) -> Mapping[str, str]:
        """The fingerprints of the documents in use; also copies their vectors into `build`."""
        if current == build.name:
            return build.prints
        if current is None:
            return {}
        wanted = ("document_id", "document_print", "digest")
        try:
            rows = self._rows(current, (*wanted, VECTOR) if self._embed else wanted)
        except ProviderRefused as error:
            # Created by another version of the product, or deleted by hand: nothing to copy.
            event(
                "index_before_not_read",
                agent=PROVIDER,
                level="warning",
                index=current,
                status=status_of(error),
            )
            return {}
        for row in rows:
            if row.get(VECTOR):
                build.vectors[str(row["digest"])] = [float(value) for value in row[VECTOR]]  # type: ignore[attr-defined] # a list of numbers
        return {str(row["document_id"]): str(row["document_print"]) for row in rows}

    def _rows(self, name: str, fields: Sequence[str]) -> list[Mapping[str, object]]:
        """These fields of all passages in an index, read page by page in the order of keys."""
        rows: list[Mapping[str, object]] = []
        while True:
            after = f"{KEY} gt '{rows[-1][KEY]}'" if rows else None
            page = self._request("rows", partial(self._page, name, fields, after))
            if not page:
                return rows
            rows += page

    def _page(
        self, name: str, fields: Sequence[str], after: str | None
    ) -> list[Mapping[str, object]]:
        client = self._service.documents(name)
        select = [KEY, *fields]
        result = client.search("*", filter=after, order_by=[f"{KEY} asc"], select=select, top=PAGE)
        page: list[Mapping[str, object]] = list(next(result.by_page(), ()))
        for row in page:
            if not isinstance(row[KEY], str) or not all(name in row for name in fields):
                raise ValueError(name)
        return page

    def _fill(self, build: _Build, progress: Callable[[int, int], None], *, is_new: bool) -> None:
        dimensions = build.dimensions = self._dimensions()
        for vector in build.vectors.values():
            # Those of the index before, which are copied.
            self._check_length(vector, build)
        definition = index_definition(
            build.name,
            semantic_configuration=self._config.semantic_configuration,
            dimensions=dimensions,
        )

        def create() -> None:
            if self._service.indexes.create_or_update_index(definition).name != build.name:
                raise ValueError(build.name)

        self._request("index", create)
        present = set() if is_new else {str(row[KEY]) for row in self._rows(build.name, ())}
        missing = [passage for passage in build.passages if passage.key not in present]
        done = len(build.passages) - len(missing)
        for first in range(0, len(missing), BATCH):
            progress(done + first, len(build.passages))
            self._upload(build, missing[first : first + BATCH])
        if build.errors:
            report = _report(build, {})
            shown = "; ".join(build.errors[:SHOWN_ERRORS])
            raise DocumentsRefused(
                f"Azure AI Search: {len(build.errors)} of {len(build.passages)} passages were "
                f"refused, and the previous index stays in use: {shown}",
                replace(report, errors=tuple(build.errors)),
            )
        self._wait_for_count(build)
        event("index_filled", agent=PROVIDER, index=build.name, sent=len(missing))

    def _dimensions(self) -> int | None:
        return None if self._embed is None else int(self._embed(("dimensions",)).shape[1])

    def _upload(self, build: _Build, batch: Sequence[IndexedPassage]) -> None:
        if self._embed is not None:
            self._embed_missing(build, batch, self._embed)
        entries: dict[str, dict[str, object]] = {
            p.key: {**p.fields, **({VECTOR: build.vectors[p.digest]} if self._embed else {})}
            for p in batch
        }
        client = self._service.documents(build.name)
        with self._service.translated_errors("upload"):
            results = client.upload_documents(list(entries.values()))
            failed = {r.key: r.status_code for r in results if r.succeeded is not True}
            if {result.key for result in results} != set(entries):
                raise ValueError(build.name)
        busy = sum(status in BUSY for status in failed.values())
        if busy:
            raise ProviderUnavailable(
                f"Azure AI Search (upload): {busy} passages were not accepted, as the index is busy"
            )
        build.errors += [
            f"{p.document_id}, paragraph {p.paragraph_index}: answered {failed[p.key]}"
            for p in batch
            if p.key in failed
        ]

    def _embed_missing(self, build: _Build, batch: Sequence[IndexedPassage], embed: Embed) -> None:
        texts = {p.digest: p.embedded_text for p in batch if p.digest not in build.vectors}
        if not texts:
            return
        for digest, vector in zip(texts, embed(tuple(texts.values())), strict=True):
            build.vectors[digest] = vector.tolist()
            self._check_length(build.vectors[digest], build)
        build.embedded += len(texts)

    def _check_length(self, vector: Vector, build: _Build) -> None:
        if self._embed is not None and build.dimensions is not None:
            check_length(build.dimensions, len(vector), self._embed.identity)

    def _wait_for_count(self, build: _Build) -> None:
        """Wait until the service counts all passages, as it indexes after accepting them."""
        expected = len(build.passages)
        count = 0
        for tried in range(SETTLING_WAITS + 1):
            count = self._count(build.name) or 0
            if count == expected:
                return
            if count > expected:
                raise ProviderRefused(
                    f"Azure AI Search: {build.name} has {count} passages instead of {expected}; "
                    "someone else has written to it: delete it, and index again"
                )
            if tried < SETTLING_WAITS:
                self._wait(SETTLING_WAIT_SECONDS)
        raise ProviderUnavailable(
            f"Azure AI Search: {build.name} has {count} of {expected} passages; the previous index "
            "stays in use"
        )

    def _switch(self, name: str) -> None:
        if not self._service.has_aliases:
            event("aliases_not_supported", agent=PROVIDER, level="warning", index=name)
            return

        def switch() -> None:
            if self._service.move_alias(self._config.index, name) != name:
                raise ValueError(name)

        self._request("alias", switch)
        event("index_switched", agent=PROVIDER, alias=self._config.index, index=name)


def _report(build: _Build, before: Mapping[str, str]) -> IndexReport:
    prints = build.prints
    return IndexReport(
        name=build.name,
        documents=len(prints),
        paragraphs=len(build.passages),
        added=sum(key not in before for key in prints),
        changed=sum(before.get(key, value) != value for key, value in prints.items()),
        removed=sum(key not in prints for key in before),
        unchanged=sum(before.get(key) == value for key, value in prints.items()),
        embedded=build.embedded,
    )
