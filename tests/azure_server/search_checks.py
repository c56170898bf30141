"""The rules between fields and index that no published schema states."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from azure_server.odata import parse
from azure_server.server import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from azure_server.search import Index, Row

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
    """Refuse an index whose fields contradict each other or its configurations."""
    names = [one["name"] for one in index.definition["fields"]]
    keys = [one for one in index.fields.values() if one.get("key")]
    _demand(len(set(names)) == len(names), "a name is used twice")
    _demand([one["type"] for one in keys] == ["Edm.String"], "one key of text expected")
    vectors = index.definition.get("vectorSearch", {"profiles": [], "algorithms": []})
    algorithms = {one["name"] for one in vectors["algorithms"]}
    profiles = {one["name"] for one in vectors["profiles"] if one["algorithm"] in algorithms}
    for name, one in index.fields.items():
        is_text = "Edm.String" in one["type"]
        is_vector = one["type"] == "Collection(Edm.Single)"
        is_list = one["type"].startswith("Collection")
        _demand(is_text or is_vector or not one.get("searchable"), f"{name}: cannot be searched")
        _demand(not (one.get("sortable") and is_list), f"{name}: cannot be sorted by")
        _demand(not one.get("analyzer") or (one.get("searchable") and is_text), f"{name}: analyzer")
        has_profile = one.get("vectorSearchProfile") in profiles and one.get("dimensions")
        _demand(not is_vector or (has_profile and one.get("searchable")), f"{name}: no profile")
    for semantic in index.definition.get("semantic", {}).get("configurations", []):
        parts = semantic["prioritizedFields"]
        listed = [*parts.get("prioritizedContentFields", []), parts["titleField"]]
        listed += parts.get("prioritizedKeywordsFields", [])
        unsearchable = {one["fieldName"] for one in listed} - index.named("searchable")
        _demand(not unsearchable, f"{semantic['name']}: {unsearchable}")


def check_document(index: Index, document: Row) -> None:
    """Refuse a document that does not fit the index."""
    _demand(_KEY.fullmatch(document.get(index.key, "")), "no key")
    for name, value in document.items():
        one = index.fields.get(name, {"type": "unknown"})
        fits = value is None or type(value) is _KINDS.get(one["type"])
        _demand(fits, f"{name}: {type(value).__name__} for {one['type']}")
        _demand("dimensions" not in one or len(value) == one["dimensions"], f"{name}: dimensions")
        is_moment = one["type"] == "Edm.DateTimeOffset"
        _demand(not (is_moment and value) or value.endswith("Z"), f"{name}: no time zone")


def check_search(index: Index, body: Row) -> Callable[[Mapping[str, Any]], bool]:
    """The query's filter; refuses a query that the index cannot answer."""
    unknown = set(selected(index, body)) - index.named("retrievable")
    _demand(not unknown, f"select: {sorted(unknown)}")
    is_semantic = body.get("queryType") == "semantic"
    if order := body.get("orderby"):
        name, _, direction = order.partition(" ")
        sortable = name in index.named("sortable") and direction in {"", "asc", "desc"}
        _demand(sortable and not is_semantic, f"orderby: {order!r}")
    configurations = index.definition.get("semantic", {}).get("configurations", [])
    known = body.get("semanticConfiguration") in [one["name"] for one in configurations]
    _demand(known or not is_semantic, "semanticConfiguration")
    stray = [name for name in body if name.startswith("semantic")]
    _demand(is_semantic or not stray, f"{stray} without semantic ranking")
    for query in body.get("vectorQueries", []):
        one = index.fields.get(query["fields"], {})
        _demand(one.get("dimensions") == len(query["vector"]), f"{query['fields']}: dimensions")
    if "filter" not in body:
        return lambda _: True
    return parse(body["filter"], index.named("filterable"))


def selected(index: Index, body: Row) -> list[str]:
    """The fields that a query asks for."""
    listed: str = body.get("select", "")
    return listed.split(",") if listed else list(index.named("retrievable"))


def _demand(fulfilled: object, reason: str) -> None:
    if not fulfilled:
        raise InvalidRequest(reason)
