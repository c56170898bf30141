"""What no schema says of a request to the search service: rules between fields and index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from azure_server.odata import BadFilter, parse
from azure_server.server import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from azure_server.search_state import Index, Row

_KEY = re.compile(r"[A-Za-z0-9_=-]{1,1024}")
_KINDS: dict[str, type] = {
    "Edm.String": str,
    "Edm.Int32": int,
    "Edm.Boolean": bool,
    "Edm.DateTimeOffset": str,
    "Collection(Edm.String)": list,
    "Collection(Edm.Single)": list,
}


def check_definition(index: Index) -> None:
    """What no schema says of an index."""
    names = [one["name"] for one in index.definition["fields"]]
    keys = [one for one in index.fields.values() if one.get("key")]
    if len(set(names)) != len(names) or len(keys) != 1 or keys[0]["type"] != "Edm.String":
        raise InvalidRequest("one key of text, and each name once")
    profiles = {
        one["name"]: one["algorithm"]
        for one in index.definition.get("vectorSearch", {}).get("profiles", [])
    }
    algorithms = {
        one["name"] for one in index.definition.get("vectorSearch", {}).get("algorithms", [])
    }
    for one in index.fields.values():
        is_text = "Edm.String" in one["type"]
        is_vector = one["type"] == "Collection(Edm.Single)"
        if one.get("searchable") and not (is_text or is_vector):
            raise InvalidRequest(f"{one['name']}: {one['type']} cannot be searched")
        if one.get("sortable") and one["type"].startswith("Collection"):
            raise InvalidRequest(f"{one['name']}: a collection cannot be sorted by")
        if one.get("analyzer") and not (one.get("searchable") and is_text):
            raise InvalidRequest(f"{one['name']}: an analyzer needs searchable text")
        has_profile = profiles.get(one.get("vectorSearchProfile")) in algorithms
        if is_vector and not (has_profile and one.get("dimensions") and one.get("searchable")):
            raise InvalidRequest(f"{one['name']}: a vector needs a profile and dimensions")
    for semantic in index.definition.get("semantic", {}).get("configurations", []):
        parts = semantic["prioritizedFields"]
        listed = [
            *([parts["titleField"]] if "titleField" in parts else []),
            *parts.get("prioritizedContentFields", []),
            *parts.get("prioritizedKeywordsFields", []),
        ]
        if not listed or {one["fieldName"] for one in listed} - index.named("searchable"):
            raise InvalidRequest(f"{semantic['name']}: only searchable fields, and at least one")


def check_document(index: Index, document: Row) -> None:
    """Refuse a document that is none of the index's."""
    if not _KEY.fullmatch(document.get(index.key, "")):
        raise InvalidRequest(f"{document.get(index.key)!r} is no key")
    for name, value in document.items():
        definition = index.fields.get(name)
        if definition is None:
            raise InvalidRequest(f"{name}: not a field of the index")
        if value is not None and type(value) is not _KINDS[definition["type"]]:
            raise InvalidRequest(f"{name}: {type(value).__name__} for {definition['type']}")
        if "dimensions" in definition and len(value) != definition["dimensions"]:
            raise InvalidRequest(f"{name}: {len(value)} numbers for {definition['dimensions']}")
        if definition["type"] == "Edm.DateTimeOffset" and value and not value.endswith("Z"):
            raise InvalidRequest(f"{name}: a moment needs its zone")


def check_search(index: Index, body: Row) -> Callable[[Mapping[str, Any]], bool]:
    """What a query's filter lets through; refuses a query that the index cannot answer."""
    unknown = set(selected(index, body)) - index.named("retrievable")
    if unknown:
        raise InvalidRequest(f"select: {sorted(unknown)} cannot be had")
    if body.get("orderby"):
        name, _, direction = body["orderby"].partition(" ")
        if name not in index.named("sortable") or direction not in {"", "asc", "desc"}:
            raise InvalidRequest(f"orderby: {body['orderby']!r}")
        if body.get("queryType") == "semantic":
            raise InvalidRequest("orderby: not with semantic ranking")
    _check_semantic(index, body)
    for query in body.get("vectorQueries", []):
        definition = index.fields.get(query["fields"], {})
        if definition.get("dimensions") != len(query["vector"]):
            raise InvalidRequest(f"vectorQueries: {query['fields']} has other dimensions")
    if "filter" not in body:
        return lambda _: True
    try:
        found = parse(body["filter"])
    except BadFilter as error:
        raise InvalidRequest(f"filter: {error}") from None
    if found.fields - index.named("filterable"):
        raise InvalidRequest(f"filter: {sorted(found.fields - index.named('filterable'))}")
    return found.test


def _check_semantic(index: Index, body: Row) -> None:
    configurations = {
        one["name"] for one in index.definition.get("semantic", {}).get("configurations", [])
    }
    is_semantic = body.get("queryType") == "semantic"
    if is_semantic and body.get("semanticConfiguration") not in configurations:
        raise InvalidRequest(f"semanticConfiguration: {body.get('semanticConfiguration')!r}")
    if not is_semantic and {name for name in body if name.startswith("semantic")}:
        raise InvalidRequest("semantic options without semantic ranking")


def selected(index: Index, body: Row) -> list[str]:
    listed: str = body.get("select", "")
    return listed.split(",") if listed else list(index.named("retrievable"))
