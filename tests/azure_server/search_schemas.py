"""What the search service takes: compact schemas of our own, and the published property names."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["faults_in"]

_NAME = {"type": "string", "pattern": "^[a-z0-9](?:[a-z0-9-]{0,126}[a-z0-9])?$"}
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_TYPES = (
    "Edm.String", "Edm.Int32", "Edm.Boolean", "Edm.DateTimeOffset", "Collection(Edm.String)",
    "Collection(Edm.Single)",
)  # fmt: skip


def _object(required: str, optional: str = "", **properties: object) -> dict[str, object]:
    names = {*required.split(), *optional.split()}
    assert names == set(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _list(items: object, **limits: int) -> dict[str, object]:
    return {"type": "array", "items": items, **limits}


_FIELD = _object(
    "name type",
    "key retrievable stored searchable filterable sortable facetable analyzer dimensions "
    "vectorSearchProfile",
    name={"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,127}$"},
    type={"enum": _TYPES},
    key=_FLAG,
    retrievable=_FLAG,
    stored=_FLAG,
    searchable=_FLAG,
    filterable=_FLAG,
    sortable=_FLAG,
    facetable=_FLAG,
    analyzer={"enum": ["en.lucene", "en.microsoft", "standard.lucene"]},
    dimensions={"type": "integer", "minimum": 2, "maximum": 4096},
    vectorSearchProfile=_TEXT,
)
_NAMED_FIELD = _object("fieldName", fieldName=_TEXT)
_SCHEMAS: dict[str, dict[str, object]] = {
    "index": _object(
        "name fields",
        "vectorSearch semantic",
        name=_NAME,
        fields=_list(_FIELD, minItems=1, maxItems=1000),
        vectorSearch=_object(
            "algorithms profiles",
            algorithms=_list(
                _object(
                    "name kind",
                    "hnswParameters",
                    name=_TEXT,
                    kind={"const": "hnsw"},
                    hnswParameters=_object(
                        "metric",
                        "m efConstruction efSearch",
                        metric={"const": "cosine"},
                        m={"type": "integer", "minimum": 4, "maximum": 10},
                        efConstruction={"type": "integer", "minimum": 100, "maximum": 1000},
                        efSearch={"type": "integer", "minimum": 100, "maximum": 1000},
                    ),
                )
            ),
            profiles=_list(_object("name algorithm", name=_TEXT, algorithm=_TEXT)),
        ),
        semantic=_object(
            "configurations",
            "defaultConfiguration",
            defaultConfiguration=_TEXT,
            configurations=_list(
                _object(
                    "name prioritizedFields",
                    name=_TEXT,
                    prioritizedFields=_object(
                        "",
                        "titleField prioritizedContentFields prioritizedKeywordsFields",
                        titleField=_NAMED_FIELD,
                        prioritizedContentFields=_list(_NAMED_FIELD),
                        prioritizedKeywordsFields=_list(_NAMED_FIELD),
                    ),
                )
            ),
        ),
    ),
    "alias": _object("name indexes", name=_NAME, indexes=_list(_NAME, minItems=1, maxItems=1)),
    "batch": _object("value", value=_list({"type": "object"}, minItems=1, maxItems=1000)),
    "search": _object(
        "search",
        "filter orderby select top skip count queryType semanticConfiguration "
        "semanticErrorHandling semanticMaxWaitInMilliseconds vectorQueries vectorFilterMode",
        search=_TEXT,
        filter=_TEXT,
        orderby=_TEXT,
        select=_TEXT,
        top={"type": "integer", "minimum": 0, "maximum": 1000},
        skip={"type": "integer", "minimum": 0, "maximum": 100_000},
        count=_FLAG,
        queryType={"enum": ["simple", "semantic"]},
        semanticConfiguration=_TEXT,
        semanticErrorHandling={"enum": ["partial", "fail"]},
        semanticMaxWaitInMilliseconds={"type": "integer", "minimum": 700},
        vectorQueries=_list(
            _object(
                "kind vector k fields",
                kind={"const": "vector"},
                vector=_list({"type": "number"}, minItems=2),
                k={"type": "integer", "minimum": 1, "maximum": 10_000},
                fields=_TEXT,
            ),
            maxItems=10,
        ),
        vectorFilterMode={"enum": ["preFilter", "postFilter"]},
    ),
}
# Where the properties of a body stand in the published files: file, definition, and within it.
_PUBLISHED: dict[str, tuple[str, str, dict[str, str]]] = {
    "index": (
        "searchservice-2024-07-01.json",
        "SearchIndex",
        {"fields": "SearchField", "vectorSearch": "VectorSearch", "semantic": "SemanticSettings"},
    ),
    "search": ("searchindex-2024-07-01.json", "SearchRequest", {}),
    "batch": ("searchindex-2024-07-01.json", "IndexBatch", {}),
}


def faults_in(kind: str, body: object) -> list[str]:
    """What is wrong with a body: index, alias, batch or search."""
    wrong = [
        f"{'/'.join(map(str, error.absolute_path)) or kind}: {error.message[:200]}"
        for error in Draft202012Validator(_SCHEMAS[kind]).iter_errors(body)
    ]
    if not wrong and isinstance(body, dict):
        wrong += _unpublished(kind, body)
    return wrong


def _unpublished(kind: str, body: Mapping[str, Any]) -> Iterator[str]:
    if kind not in _PUBLISHED:
        return
    file, definition, parts = _PUBLISHED[kind]
    definitions = _definitions(file)
    if definitions is None:
        return
    for name in set(body) - set(definitions[definition]["properties"]):
        yield f"{name}: not in the published {definition}"
    for part, inner in parts.items():
        found = body.get(part) or []
        for item in found if isinstance(found, list) else [found]:
            for name in set(item) - set(definitions[inner]["properties"]):
                yield f"{part}/{name}: not in the published {inner}"


@functools.cache
def _definitions(file: str) -> dict[str, Any] | None:
    """The definitions of a published file; None where it is not at hand."""
    path = Path(__file__).parents[2] / "../shared/azure-specs" / file
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["definitions"]
    return found
