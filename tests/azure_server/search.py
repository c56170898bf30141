"""A local Azure AI Search: indexes, aliases, documents and a similar ranking.

Words score by their number, vectors by cosine; both are fused by reciprocal rank (60), and the
reranker's 0 to 4 is a curve over the cosine and the share of matching words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure_server.identity import SEARCH, token_for
from azure_server.search_checks import check_definition, check_document, check_search, selected
from azure_server.search_ranking import reranked, scored
from azure_server.server import InvalidRequest, Reply

if TYPE_CHECKING:
    from azure_server.server import Recorded

Row = dict[str, Any]

KEY = "CANARY-search-key"
VERSIONS = ("2024-07-01", "2025-09-01", "2026-04-01")
WITH_ALIASES = "2026-04-01"
REASON = "capacityOverloaded"
_ROUTE = re.compile(r"/(?P<kind>indexes|aliases)(?:\('(?P<name>[^']+)'\)(?P<rest>/.*)?)?")


@dataclass
class Index:
    """An index: its definition and its documents by key."""

    definition: dict[str, Any]
    documents: dict[str, Row] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """The fields by name."""
        return {one["name"]: one for one in self.definition["fields"]}

    @property
    def key(self) -> str:
        """The name of the key field."""
        return next(name for name, one in self.fields.items() if one.get("key"))

    def named(self, use: str) -> set[str]:
        """The names of the fields with a use, such as `searchable`."""
        return {name for name, one in self.fields.items() if one.get(use)}


@dataclass
class SearchService:
    """The service.

    Attributes:
        refused: the statuses that the next documents get whose text holds these words.
        degraded: `base` gives no reranker scores, `reranked` only for the first two results.
        hidden: how many documents each of the next counts leaves out.
    """

    prefix: tuple[str, ...] = ("/indexes", "/aliases")
    key: str = KEY
    token: str = field(default_factory=lambda: token_for(SEARCH))
    indexes: dict[str, Index] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    refused: dict[str, list[int]] = field(default_factory=dict)
    degraded: str = ""
    hidden: list[int] = field(default_factory=list)

    def handle(self, request: Recorded) -> Reply:
        """The answer."""
        if not self._is_let_in(request):
            return _error(401, "Unauthorized")
        version = request.query.get("api-version", "")
        route = _ROUTE.fullmatch(request.path)
        if route is None or version not in VERSIONS:
            raise InvalidRequest(f"{request.path} with api-version {version!r} is not known")
        name, rest = route["name"] or "", route["rest"] or ""
        if route["kind"] == "aliases":
            if version < WITH_ALIASES:
                raise InvalidRequest(f"api-version {version} has no aliases")
            return self._alias(request, name)
        if rest:
            index = self.indexes.get(self.aliases.get(name, name))
            return _error(404, "IndexNotFound") if index is None else self._of(index, request, rest)
        return self._index(request, name)

    def _is_let_in(self, request: Recorded) -> bool:
        bearer = request.headers.get("authorization")
        return (
            request.headers.get("api-key") == self.key
            if bearer is None
            else bearer == f"Bearer {self.token}"
        )

    def _alias(self, request: Recorded, name: str) -> Reply:
        if request.method == "PUT":
            (target,) = _body(request, name)["indexes"]
            if target not in self.indexes or name in self.indexes:
                return _error(400, "InvalidAlias")
            self.aliases[name] = target
        elif request.method != "GET":
            raise InvalidRequest(f"{request.method} of an alias is not expected")
        if name not in self.aliases:
            return _error(404, "AliasNotFound")
        return Reply(json={"name": name, "indexes": [self.aliases[name]]})

    def _index(self, request: Recorded, name: str) -> Reply:
        if request.method == "GET" and not name:
            return Reply(json={"value": [{"name": one} for one in sorted(self.indexes)]})
        if request.method == "DELETE":
            if name in self.aliases.values():
                raise InvalidRequest(f"{name} has an alias")
            return Reply(status=204 if self.indexes.pop(name, None) else 404)
        if request.method != "PUT":
            raise InvalidRequest(f"{request.method} of an index is not expected")
        definition = _body(request, name)
        check_definition(Index(definition))
        known = self.indexes.get(name)
        if known is not None and known.definition != definition:
            return _error(400, "CannotChangeExistingField")
        self.indexes.setdefault(name, Index(definition))
        return Reply(status=200 if known else 201, json=definition)

    def _of(self, index: Index, request: Recorded, rest: str) -> Reply:
        if rest == "/docs/$count" and request.method == "GET":
            shown = max(len(index.documents) - (self.hidden.pop(0) if self.hidden else 0), 0)
            return Reply(body=f"\ufeff{shown}".encode(), headers={"content-type": "text/plain"})
        if rest == "/docs/search.index" and request.method == "POST":
            return self._take(index, _body(request)["value"])
        if rest == "/docs/search.post.search" and request.method == "POST":
            return self._found(index, _body(request))
        raise InvalidRequest(f"{request.method} {rest} is not expected")

    def _take(self, index: Index, actions: list[Row]) -> Reply:
        results = []
        for action in actions:
            document = {name: value for name, value in action.items() if name[0] != "@"}
            if action.get("@search.action") != "upload":
                raise InvalidRequest("only uploads are expected")
            check_document(index, document)
            status = self._status(document)
            key = document[index.key]
            taken = status is None
            if taken:
                status = 200 if key in index.documents else 201
                index.documents[key] = document
            said = None if taken else "the service's words, with the document's text"
            result = {"key": key, "status": taken, "errorMessage": said, "statusCode": status}
            results.append(result)
        all_taken = all(result["status"] for result in results)
        return Reply(status=200 if all_taken else 207, json={"value": results})

    def _status(self, document: Row) -> int | None:
        for held, statuses in self.refused.items():
            if held in document["text"] and statuses:
                return statuses.pop(0)
        return None

    def _found(self, index: Index, body: Row) -> Reply:
        wanted = check_search(index, body)
        rows = [row for row in index.documents.values() if wanted(row)]
        ranked = scored(index, rows, body)
        semantic = body.get("queryType") == "semantic" and body["search"].strip(" *")
        reply: Row = {}
        if body.get("orderby"):
            name, _, direction = body["orderby"].partition(" ")
            ranked.sort(key=lambda one: one[1][name], reverse=direction == "desc")
        values: list[Row] = [{"@search.score": score, "@row": row} for score, row in ranked]
        if semantic and self.degraded:
            reply["@search.semanticPartialResponseReason"] = REASON
            reply["@search.semanticPartialResponseType"] = f"{self.degraded}Results"
        if semantic and self.degraded != "base":
            judged = values[: 2 if self.degraded else 50]
            for one in judged:
                one["@search.rerankerScore"] = reranked(index, one["@row"], body)
            judged.sort(key=lambda one: -one["@search.rerankerScore"])
            values[: len(judged)] = judged
        first = body.get("skip", 0)
        shown = values[first : first + body.get("top", 50)]
        for one in shown:
            row = one.pop("@row")
            one |= {name: row.get(name) for name in selected(index, body)}
        return Reply(
            status=206 if semantic and self.degraded else 200, json={**reply, "value": shown}
        )


def _error(status: int, code: str) -> Reply:
    return Reply(status=status, json={"error": {"code": code, "message": "SERVER WORDS"}})


def _body(request: Recorded, name: str | None = None) -> dict[str, Any]:
    body = request.json
    if not isinstance(body, dict) or (name is not None and body["name"] != name):
        raise InvalidRequest(f"{request.path} with the body {str(body)[:200]}")
    return body
