"""The search service of the tests refuses what the real one would."""

from __future__ import annotations

from typing import Any

import pytest

from azure_server.search import KEY, SearchService
from azure_server.server import InvalidRequest, Recorded, Reply

DEFINITION: dict[str, Any] = {
    "name": "things",
    "fields": [
        {"name": "id", "type": "Edm.String", "key": True, "retrievable": True, "sortable": True},
        {"name": "text", "type": "Edm.String", "searchable": True, "retrievable": True},
        {"name": "kind", "type": "Edm.String", "filterable": True, "retrievable": True},
        {
            "name": "vector",
            "type": "Collection(Edm.Single)",
            "searchable": True,
            "dimensions": 2,
            "vectorSearchProfile": "p",
        },
    ],
    "vectorSearch": {
        "algorithms": [{"name": "a", "kind": "hnsw"}],
        "profiles": [{"name": "p", "algorithm": "a"}],
    },
    "semantic": {
        "configurations": [
            {"name": "default", "prioritizedFields": {"titleField": {"fieldName": "text"}}}
        ]
    },
}
ROW = {"@search.action": "upload", "id": "1", "text": "boots", "kind": "a", "vector": [1.0, 0.5]}


@pytest.fixture
def service() -> SearchService:
    made = SearchService()
    send(made, "PUT", "/indexes('things')", DEFINITION)
    send(made, "POST", "/indexes('things')/docs/search.index", {"value": [ROW]})
    return made


def send(
    service: SearchService, method: str, path: str, body: object = None, version: str = "2026-04-01"
) -> Reply:
    return service.handle(
        Recorded(
            method=method,
            path=path,
            query={"api-version": version},
            headers={"api-key": KEY},
            body=b"",
            json=body,
        )
    )


def found(service: SearchService, **body: object) -> Any:
    reply = send(service, "POST", "/indexes('things')/docs/search.post.search", body)
    assert isinstance(reply.json, dict)
    return reply.json["value"]


@pytest.mark.parametrize(
    "change",
    [
        {"select": "id,unknown"},
        {"select": "vector"},
        {"filter": "unknown eq 'a'"},
        {"filter": "text eq 'a'"},
        {"filter": "kind eq 'a' or"},
        {"filter": "kind is 'a'"},
        {"orderby": "text asc"},
        {"orderby": "id upwards"},
        {"orderby": "id", "queryType": "semantic", "semanticConfiguration": "default"},
        {"queryType": "semantic", "semanticConfiguration": "other"},
        {"queryType": "semantic"},
        {"semanticConfiguration": "default"},
        {"vectorQueries": [{"kind": "vector", "vector": [1.0] * 3, "k": 3, "fields": "vector"}]},
        {"vectorQueries": [{"kind": "vector", "vector": [1.0, 1.0], "k": 3, "fields": "text"}]},
        {"top": 1001},
        {"k": 5},
    ],
)
def test_search_that_the_index_cannot_answer_is_invalid(
    service: SearchService, change: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        found(service, **{"search": "boots", **change})


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [ROW] * 1001,
        [{**ROW, "@search.action": "delete"}],
        [{**ROW, "unknown": 1}],
        [{**ROW, "id": "a b"}],
        [{**ROW, "text": 7}],
        [{**ROW, "vector": [1.0]}],
    ],
)
def test_batch_that_does_not_fit_the_index_is_invalid(
    service: SearchService, rows: list[object]
) -> None:
    with pytest.raises(InvalidRequest):
        send(service, "POST", "/indexes('things')/docs/search.index", {"value": rows})


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"key": False}),
        (0, {"type": "Edm.Int32"}),
        (1, {"name": "id"}),
        (1, {"searchable": False}),
        (1, {"type": "Collection(Edm.String)", "sortable": True}),
        (2, {"analyzer": "en.lucene"}),
        (2, {"colour": "red"}),
        (3, {"dimensions": 1}),
        (3, {"vectorSearchProfile": "q"}),
    ],
)
def test_index_that_contradicts_itself_is_invalid(
    service: SearchService, place: int, change: dict[str, object]
) -> None:
    fields = [dict(one) for one in DEFINITION["fields"]]
    fields[place] |= change
    with pytest.raises(InvalidRequest):
        send(service, "PUT", "/indexes('things')", {**DEFINITION, "fields": fields})
