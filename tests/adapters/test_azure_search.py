from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from azure_server.faults import Fault
from azure_server.identity import SEARCH, IdentityService, environment, token_for
from azure_server.search import KEY, SearchService
from fake_clock import FakeClock
from liftwright.adapters.azure import AzureSearch
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.search import (
    ROUNDS,
    AzurePassageSearch,
    AzureSearchIndex,
    DocumentsRefused,
    odata_filter,
)
from liftwright.config import Authentication
from liftwright.errors import InputError, ProviderRefused, ProviderUnavailable
from liftwright.log import Log, logging_to
from liftwright.model import Document, Identity, Query, Section, Usage
from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from azure_server.server import AzureServer, Handler, Recorded
    from liftwright.calls.client import Calls
    from liftwright.ports import IndexReport

DIMENSIONS = 32
SUBJECTS = ("boots", "tents", "stoves", "maps", "ropes", "lamps", "skis", "kayaks")


class Killed(BaseException):
    """Stands for a process that is killed."""


class WordEmbed:
    """Gives texts with the same words similar vectors; records its requests."""

    metered = False

    def __init__(self, version: str = "1", length: int = DIMENSIONS) -> None:
        self.identity = Identity(provider="test", model="words", version=version)
        self.length = length
        self.texts: list[str] = []

    def __call__(self, request: tuple[str, ...], /) -> Any:
        self.texts += request
        rows = np.full((len(request), self.length), 1e-3, dtype=np.float32)
        for row, text in zip(rows, request, strict=True):
            for word in words(text):
                row[hashlib.sha256(word.encode()).digest()[0] % self.length] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def document(name: str, *paragraphs: str, **fields: Any) -> Document:
    made = Document(
        document_id=name,
        title=f"About {name}",
        category="Product",
        sections=(Section(title="Overview", paragraphs=paragraphs),),
        approval_date=date(2026, 1, 1),
    )
    return replace(made, **fields)


def samples(count: int = 40, paragraphs: int = 3) -> tuple[Document, ...]:
    """Documents as a brand has them: a few subjects, some for an audience, some that expire."""
    return tuple(
        document(
            f"doc {number:02d}",
            *(
                f"Our {SUBJECTS[number % 8]} number {number} last long, as part {part} explains."
                for part in range(paragraphs)
            ),
            category=("Product", "Guide")[number % 2],
            audience=("Loyal Customers",) if number % 5 == 0 else (),
            audience_only=number % 10 == 0,
            keywords=(SUBJECTS[number % 8], "outdoor"),
            expires_on=date(2027, 1, 1) if number % 3 == 0 else None,
            source_url=f"https://example.com/{number}",
        )
        for number in range(count)
    )


BOOTS = document("boots", "Boots for winter walks.", "Wax keeps leather boots soft.")
TENT = document("tent", "A tent for two.", "It stands in the rain.")
CLUB = document("club", "Boots are waxed free.", audience=("Members",), audience_only=True)


@pytest.fixture
def service() -> SearchService:
    return SearchService()


@pytest.fixture
def azure_handlers(service: SearchService) -> list[Handler]:
    return [service, IdentityService()]


@pytest.fixture
def embed() -> WordEmbed:
    return WordEmbed()


@pytest.fixture
def server(azure_server: AzureServer) -> AzureServer:
    return azure_server


@pytest.fixture
def config(server: AzureServer) -> AzureSearch:
    return AzureSearch(endpoint=server.url)


@pytest.fixture
def indexing(config: AzureSearch, embed: WordEmbed) -> AzureSearchIndex:
    return indexer(config, embed)


def indexer(config: AzureSearch, embed: WordEmbed | None, **options: Any) -> AzureSearchIndex:
    given = {"api_key": KEY, "timeout_seconds": 60, "wait": lambda _: None, **options}
    return AzureSearchIndex(config, embed, **given)


def searcher(
    config: AzureSearch, embed: WordEmbed | None, name: str, **options: Any
) -> AzurePassageSearch:
    return AzurePassageSearch(
        config, embed, name, **{"api_key": KEY, "timeout_seconds": 60, **options}
    )


def quietly(done: int, of: int) -> None:
    del done, of


def put(indexing: AzureSearchIndex, *documents: Document) -> IndexReport:
    return indexing(documents, progress=quietly)


def calls() -> tuple[Calls, list[float]]:
    clock = FakeClock()
    return clock.calls(retries=3, backoff_seconds=2), clock.slept


def uploads(server: AzureServer) -> list[list[dict[str, Any]]]:
    return [r.json["value"] for r in server.requests if r.path.endswith("/docs/search.index")]


def queries(server: AzureServer, name: str) -> list[Recorded]:
    return [r for r in server.under(f"/indexes('{name}')") if "post.search" in r.path]


def logged(folder: Path, action: str) -> list[dict[str, Any]]:
    lines = (folder / "system.log").read_text().splitlines()
    return [one["context"] for one in map(json.loads, lines) if one["action"] == action]


def test_index_makes_an_index_with_fields_vectors_and_semantic_configuration(
    indexing: AzureSearchIndex, server: AzureServer, service: SearchService
) -> None:
    report = put(indexing, *samples())
    (created,) = [r for r in server.requests if r.method == "PUT" and "/indexes" in r.path]
    fields = {one["name"]: one for one in created.json["fields"]}
    assert {"document_id", "version", "title", "section", "category", "audience", "keywords"} < (
        set(fields)
    )
    assert {"text", "paragraph_index", "approval_date", "expires_on"} < set(fields)
    assert {name for name, one in fields.items() if one.get("searchable")} == {
        "title", "section", "category", "keywords", "text", "content_vector",
    }  # fmt: skip
    assert {"document_id", "category", "audience", "keywords"} <= {
        name for name, one in fields.items() if one.get("facetable")
    }
    assert fields["audience"]["type"] == "Collection(Edm.String)"
    assert fields["content_vector"]["dimensions"] == DIMENSIONS
    assert created.json["vectorSearch"]["algorithms"][0]["kind"] == "hnsw"
    assert created.json["semantic"]["configurations"][0]["name"] == "default"
    assert (report.documents, report.paragraphs, report.added) == (40, 120, 40)
    assert service.aliases == {"approved-content": report.name}
    assert report.name.startswith("approved-content-")


def test_index_of_a_changed_corpus_makes_another_and_moves_the_alias(
    indexing: AzureSearchIndex, service: SearchService
) -> None:
    first = put(indexing, BOOTS, TENT)
    second = put(indexing, BOOTS, replace(TENT, version="2"), CLUB)
    assert second.name != first.name
    assert service.aliases == {"approved-content": second.name}
    assert (second.added, second.changed, second.unchanged, second.removed) == (1, 1, 1, 0)
    assert second.embedded == 1, "a new version of the same words has the same vectors"
    assert set(service.indexes) == {first.name, second.name}


def test_index_killed_in_mid_upload_leaves_the_alias_and_goes_on_later(
    indexing: AzureSearchIndex, server: AzureServer, service: SearchService, config: Any
) -> None:
    first = put(indexing, BOOTS)

    told: list[tuple[int, int]] = []

    def killing(done: int, of: int) -> None:
        told.append((done, of))
        if done == 200:
            raise Killed

    with pytest.raises(Killed):
        indexing(samples(25, 10), progress=killing)
    assert service.aliases == {"approved-content": first.name}
    assert told == [(0, 250), (100, 250), (200, 250)]
    assert [len(batch) for batch in uploads(server)] == [2, 100, 100]
    (half,) = [index for name, index in service.indexes.items() if name != first.name]
    assert len(half.documents) == 200
    sent = len(uploads(server))
    fresh = WordEmbed()
    report = put(indexer(config, fresh), *samples(25, 10))
    assert [len(batch) for batch in uploads(server)[sent:]] == [50]
    assert report.embedded == 50
    assert service.aliases == {"approved-content": report.name}
    assert len(half.documents) == 250


def test_index_where_documents_are_refused_tells_which_and_stays_with_the_old(
    indexing: AzureSearchIndex, service: SearchService
) -> None:
    first = put(indexing, BOOTS)
    service.refused = {"number 3 last": [400] * 2, "number 24 last": [404]}
    with pytest.raises(DocumentsRefused) as caught:
        put(indexing, *samples(25, 10))
    report = caught.value.report
    assert report.errors == (
        "doc 03, paragraph 0: answered 400",
        "doc 03, paragraph 1: answered 400",
        "doc 24, paragraph 0: answered 404",
    )
    assert "3 of 250" in str(caught.value)
    assert "service's words" not in str(caught.value)
    assert service.aliases == {"approved-content": first.name}


def test_index_sends_what_met_a_busy_index_again_and_only_that(
    config: AzureSearch, embed: WordEmbed, server: AzureServer, service: SearchService
) -> None:
    service.refused = {"part 1": [503, 422, 409], "part 2": [429]}
    patient, waits = calls()
    indexing = indexer(config, embed)
    report = patient.make("index", lambda: put(indexing, *samples(4)))
    assert [len(batch) for batch in uploads(server)] == [12, 4]
    assert waits == [2.0]
    assert len(service.indexes[report.name].documents) == 12


def test_index_that_never_counts_all_is_unavailable_and_not_used(
    indexing: AzureSearchIndex, service: SearchService
) -> None:
    service.hidden = [1] * 99
    with pytest.raises(ProviderUnavailable, match="1 of 2 passages"):
        put(indexing, BOOTS)
    assert service.aliases == {}


def test_index_that_holds_more_than_was_put_is_refused(
    indexing: AzureSearchIndex, service: SearchService
) -> None:
    report = put(indexing, BOOTS)
    documents = service.indexes[report.name].documents
    documents["strange"] = {**next(iter(documents.values())), "passage_id": "strange"}
    with pytest.raises(ProviderRefused, match="3 passages instead of 2"):
        put(indexing, BOOTS)


def test_index_before_that_cannot_be_read_is_left_and_told(
    indexing: AzureSearchIndex, service: SearchService, server: AzureServer, tmp_path: Path
) -> None:
    first = put(indexing, BOOTS)
    fields = service.indexes[first.name].definition["fields"]
    fields[:] = [one for one in fields if one["name"] != "digest"]
    with logging_to(Log(tmp_path)):
        report = put(indexing, TENT)
    assert report.added == 1
    assert logged(tmp_path, "index_before_not_read")[0]["status"] == 400
    assert "digest" in server.invalid[0]
    server.invalid.clear()


def test_index_without_vectors_and_ranker_has_neither(
    server: AzureServer, service: SearchService
) -> None:
    bare = AzureSearch(endpoint=server.url, vectors=False, semantic_configuration=None)
    first = put(indexer(bare, None), BOOTS)
    assert put(indexer(bare, None), BOOTS, TENT).unchanged == 1
    definition = service.indexes[first.name].definition
    assert not {"semantic", "vectorSearch"} & set(definition)
    passages = searcher(bare, None, first.name)(Query(text="soft leather", top_k=3))
    assert [(p.document_id, p.paragraph_index) for p in passages] == [("boots", 1)]
    assert 0 < passages[0].score < 1
    asked = queries(server, first.name)[-1].json
    assert not {"queryType", "vectorQueries", "semanticConfiguration"} & set(asked)


def test_index_on_a_version_without_aliases_does_without(
    server: AzureServer, service: SearchService, embed: WordEmbed, tmp_path: Path
) -> None:
    older = AzureSearch(endpoint=server.url, api_version="2025-09-01")
    with logging_to(Log(tmp_path)):
        report = put(indexer(older, embed), BOOTS)
    assert put(indexer(older, embed), BOOTS).name == report.name
    assert len(uploads(server)) == 1
    assert service.aliases == {}
    assert logged(tmp_path, "aliases_not_supported")
    assert searcher(older, embed, report.name)(Query(text="boots", top_k=1))
    assert {r.query["api-version"] for r in server.requests} == {"2025-09-01"}
    with pytest.raises(InputError, match="keep"):
        indexer(older, embed).remove_old()


def test_remove_old_deletes_what_is_neither_used_nor_kept_nor_foreign(
    indexing: AzureSearchIndex, service: SearchService
) -> None:
    names = [put(indexing, replace(BOOTS, version=str(v))).name for v in range(4)]
    foreign = "approved-content-of-others"
    service.indexes[foreign] = service.indexes[names[0]]
    assert set(indexing.remove_old(keep=[names[1]])) == {names[0], names[2]}
    assert set(service.indexes) == {names[1], names[3], foreign}
    assert indexing.remove_old(keep=[names[1]]) == ()


@pytest.fixture
def search(
    indexing: AzureSearchIndex, config: AzureSearch, embed: WordEmbed
) -> Callable[..., AzurePassageSearch]:
    def make(*documents: Document, **options: Any) -> AzurePassageSearch:
        report = put(indexing, *documents or samples())
        return searcher(config, embed, report.name, **options)

    return make


def test_search_asks_for_words_vectors_and_ranking(
    search: Any, server: AzureServer, embed: WordEmbed
) -> None:
    query = Query(
        text='boots - for "winter"?',
        top_k=5,
        audience=("Loyal Customers",),
        categories=("Product",),
        excluded=("doc 08", "o'neil"),
    )
    asked = search()
    asked(query)
    (request, *_) = queries(server, asked.identity.corpus)
    assert request.query["api-version"] >= "2025-09-01", "the package's own"
    body = request.json
    (vector_query,) = body.pop("vectorQueries")
    vector = vector_query.pop("vector")
    assert vector == pytest.approx(embed((query.text,))[0].tolist())
    assert vector_query == {"kind": "vector", "k": 50, "fields": "content_vector"}
    assert "audience_folded" in body.pop("select").split(",")
    assert body == {
        "search": "boots for winter",
        "filter": (
            "search.in(category_folded, 'product', '|') and (audience_only eq false or "
            "audience_folded/any(a: search.in(a, 'loyal custom', '|'))) and not "
            "search.in(document_id, 'doc 08|o''neil', '|')"
        ),
        "queryType": "semantic",
        "semanticConfiguration": "default",
        "semanticErrorHandling": "partial",
        "semanticMaxWaitInMilliseconds": 48_000,
        "top": 50,
        "vectorFilterMode": "preFilter",
    }


def test_search_gives_a_quarter_of_the_rankers_score(search: Any, tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)):
        passages = search(BOOTS, TENT)(Query(text="soft leather boots", top_k=5))
    (scored,) = logged(tmp_path, "passages_scored")
    assert scored["scale"] == "reranker"
    by_place = {(r["document_id"], r["paragraph_index"]): r for r in scored["results"]}
    for passage in passages:
        raw = by_place[passage.document_id, passage.paragraph_index]["raw"]
        assert 0 <= raw <= 4
        assert passage.score == pytest.approx(raw / 4, abs=1e-6)
    assert not logged(tmp_path, "semantic_ranking_degraded")


def test_search_reaches_further_where_one_document_fills_the_first_answer(
    search: Any, server: AzureServer
) -> None:
    thick = document("thick", *(f"Leather boots, chapter {n}." for n in range(60)))
    thin = [document(f"thin {n}", "Boots.") for n in range(3)]
    asked = search(thick, *thin)
    found = asked(Query(text="leather boots chapter", top_k=4))
    assert [p.document_id for p in found] == ["thick", "thin 0", "thin 1", "thin 2"]
    filters = [r.json.get("filter") for r in queries(server, asked.identity.corpus)]
    assert filters == [None, "not search.in(document_id, 'thick', '|')"]
    assert all(before.score >= after.score for before, after in pairwise(found))


@pytest.mark.parametrize("degraded", ["base", "reranked"])
def test_search_with_a_ranker_that_gives_up_goes_on_and_says_so(
    search: Any, service: SearchService, tmp_path: Path, degraded: str
) -> None:
    asked = search()
    service.degraded = degraded
    with logging_to(Log(tmp_path)):
        passages = asked(Query(text="boots number 8", top_k=5, min_score=0.99))
    (told, *_) = logged(tmp_path, "semantic_ranking_degraded")
    assert (told["status"], told["reason"]) == (206, "capacityOverloaded")
    scales = {one["scale"] for one in logged(tmp_path, "passages_scored")}
    if degraded == "base":
        assert len(passages) == 5, "no floor on what is no judgement"
        assert scales == {"reciprocal_rank"}
    else:
        assert scales == {"reranker"}
        assert all(passage.score >= 0.99 for passage in passages)
    assert all(0 <= passage.score <= 1 for passage in passages)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(text="x", top_k=1), None),
        (
            Query(text="x", top_k=1, excluded=("a", "b", "a")),
            "not search.in(document_id, 'a|b', '|')",
        ),
        (Query(text="x", top_k=1, excluded=("a|b",)), "not search.in(document_id, 'a|b', ';')"),
        (
            Query(text="x", top_k=1, excluded=("|;~^", "o'x' or true")),
            "not (document_id eq 'o''x'' or true' or document_id eq '|;~^')",
        ),
        (Query(text="x", top_k=1, categories=(" A b ",)), "search.in(category_folded, 'a b', '|')"),
        (Query(text="x", top_k=1, categories=("",)), "(category_folded eq '')"),
    ],
)
def test_odata_filter_quotes_what_people_write(query: Query, expected: str | None) -> None:
    assert odata_filter(query) == expected


ROW = {
    "document_id": "boots",
    "version": "1",
    "title": "About boots",
    "section": "Overview",
    "paragraph_index": 0,
    "text": "Boots.",
    "category": "Product",
    "audience_folded": [],
    "@search.score": 0.03,
    "@search.rerankerScore": 2.0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"text": None},
        {"document_id": 7},
        {"paragraph_index": "0"},
        {"audience_folded": None},
        {"@search.rerankerScore": -1.0},
        {"@search.rerankerScore": "high"},
        {"@search.score": None, "@search.rerankerScore": None},
    ],
)
def test_search_with_a_row_that_is_none_is_unavailable(
    search: Any, server: AzureServer, change: dict[str, Any]
) -> None:
    asked = search(BOOTS)
    whole = Fault(kind="status", status=200, body={"value": [ROW]})
    broken = Fault(kind="status", status=200, body={"value": [{**ROW, **change}]})
    server.script("/indexes", [whole, broken])
    assert asked(Query(text="boots", top_k=1))[0].score == 0.5
    with pytest.raises(ProviderUnavailable, match="malformed"):
        asked(Query(text="boots", top_k=1))


def test_search_reaches_no_further_than_the_floor_or_a_few_answers(
    search: Any, server: AzureServer
) -> None:
    asked = search(*(document(f"thick {n}", *["Leather boots."] * 50) for n in range(6)), TENT)
    assert len(asked(Query(text="leather boots", top_k=6))) == 4
    assert len(queries(server, asked.identity.corpus)) == 4
    assert asked(Query(text="leather shoes", top_k=2, min_score=0.999)) == ()
    assert len(queries(server, asked.identity.corpus)) == 5


@pytest.mark.parametrize(
    ("route", "skipped"),
    # A new index: alias, count, its creation, the upload, the count, the alias again.
    [("/aliases", 0), ("/indexes", 0), ("/indexes", 1), ("/indexes", 2), ("/aliases", 1)],
)
def test_index_on_a_passing_fault_in_any_request_is_completed(  # noqa: PLR0913, PLR0917 - fixtures
    config: AzureSearch,
    embed: WordEmbed,
    server: AzureServer,
    service: SearchService,
    route: str,
    skipped: int,
) -> None:
    patient, waits = calls()
    indexing = indexer(config, embed)
    server.script(route, [*[None] * skipped, Fault(kind="cut")])
    report = patient.make("index", lambda: put(indexing, BOOTS, TENT))
    assert len(waits) == 1
    assert service.aliases == {"approved-content": report.name}
    assert len(service.indexes[report.name].documents) == report.paragraphs == 4


@pytest.mark.parametrize(
    ("route", "skipped", "body"),
    [
        ("/indexes", 2, {"value": []}),
        ("/indexes", 2, {"value": [{"key": "strange", "status": True, "statusCode": 201}]}),
        ("/aliases", 1, {"name": "approved-content", "indexes": ["another"]}),
    ],
)
def test_index_with_an_answer_to_something_else_is_unavailable(
    indexing: AzureSearchIndex, server: AzureServer, route: str, skipped: int, body: object
) -> None:
    odd = Fault(kind="status", status=200, body=body)
    server.script(route, [*[None] * skipped, odd])
    with pytest.raises(ProviderUnavailable, match="malformed"):
        put(indexing, BOOTS)


@pytest.mark.parametrize(
    ("route", "skipped", "status", "named"),
    [
        ("/indexes", 0, 401, "AZURE_SEARCH_API_KEY"),
        ("/indexes", 2, 401, "AZURE_SEARCH_API_KEY"),
        ("/aliases", 0, 403, "Search Index Data Contributor"),
    ],
)
def test_index_on_a_lasting_fault_is_refused_and_not_used(  # noqa: PLR0913, PLR0917 - fixtures
    indexing: AzureSearchIndex,
    server: AzureServer,
    service: SearchService,
    route: str,
    skipped: int,
    status: int,
    named: str,
) -> None:
    server.script(route, [*[None] * skipped, Fault(kind="status", status=status)])
    with pytest.raises(ProviderRefused, match=named):
        put(indexing, BOOTS)
    assert service.aliases == {}


@pytest.mark.parametrize("method", ["api_key", "managed_identity"])
def test_key_or_token_is_sent_and_never_both(
    config: AzureSearch, embed: WordEmbed, server: AzureServer, monkeypatch: Any, method: str
) -> None:
    for name, value in environment(server.url).items():
        monkeypatch.setenv(name, value)
    who: dict[str, Any] = {}
    if method != "api_key":
        credential = credential_for(Authentication(method="managed_identity"))
        who = {"api_key": None, "credential": credential}
    report = put(indexer(config, embed, **who), BOOTS)
    assert searcher(config, embed, report.name, **who)(Query(text="boots", top_k=1))
    sent = [r.headers for r in server.requests if r.path.startswith(("/indexes", "/aliases"))]
    expected = (KEY, None) if method == "api_key" else (None, f"Bearer {token_for(SEARCH)}")
    assert {(one.get("api-key"), one.get("authorization")) for one in sent} == {expected}


def test_identity_names_the_corpus_and_what_changes_a_reply(config: AzureSearch) -> None:
    plain = searcher(config, WordEmbed(), "one").identity
    assert plain == searcher(config, WordEmbed(), "one", api_key="other").identity
    assert plain.corpus == "one"
    changes = (
        {"semantic_configuration": None},
        {"semantic_configuration": "other"},
        {"endpoint": "https://elsewhere.search.windows.net"},
        {"api_version": "2025-09-01"},
        {"vectors": False},
    )
    others = {
        searcher(config.model_copy(update=change), WordEmbed(), "one").identity
        for change in changes
    }
    others.add(searcher(config, WordEmbed("2"), "one").identity)
    others.add(replace(plain, corpus="two"))
    assert len({plain, *others}) == 8
    assert searcher(config, WordEmbed(), "one").metered


def test_search_tells_of_each_query_that_is_ranked_semantically(
    config: AzureSearch, indexing: AzureSearchIndex, embed: WordEmbed, server: AzureServer
) -> None:
    name = put(indexing, *samples()).name
    used = searcher(config, embed, name).call_with_usage(Query(text="boots", top_k=3)).usage
    assert used == Usage(units=len(queries(server, name)))
    assert 1 <= used.units <= ROUNDS
    bare = config.model_copy(update={"semantic_configuration": None})
    free = searcher(bare, embed, name).call_with_usage(Query(text="boots", top_k=3)).usage
    assert free == Usage()


def test_index_and_search_with_vectors_of_another_length_are_refused_and_change_nothing(
    config: AzureSearch, embed: WordEmbed, server: AzureServer, service: SearchService
) -> None:
    report = put(indexer(config, embed), BOOTS)
    embed.length = DIMENSIONS // 2
    with pytest.raises(ProviderRefused, match="embedding_model"):
        put(indexer(config, embed), BOOTS, TENT)
    assert service.aliases == {"approved-content": report.name}
    assert list(service.indexes) == [report.name]
    with pytest.raises(ProviderRefused, match="embedding_model"):
        searcher(config, embed, report.name)(Query(text="leather boots", top_k=3))
    assert len(server.invalid) == 1
    server.invalid.clear()
