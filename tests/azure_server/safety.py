"""Azure AI Content Safety: judges texts by the words that a test gives it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from azure_server.identity import COGNITIVE, token_for
from azure_server.server import InvalidRequest, Recorded, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY = "CANARY-content-safety-key"
ANALYZE = "/contentsafety/text:analyze"
SHIELD = "/contentsafety/text:shieldPrompt"
GROUND = "/contentsafety/text:detectGroundedness"

_CATEGORIES = ("Hate", "SelfHarm", "Sexual", "Violence")
_VERSIONS = {
    ANALYZE: {"2023-10-01", "2024-09-01"},
    SHIELD: {"2024-09-01"},
    GROUND: {"2024-09-15-preview"},
}
_TEXT = {"type": "string", "minLength": 1}
_SCHEMAS: dict[str, dict[str, Any]] = {
    ANALYZE: {
        "type": "object",
        "properties": {
            "text": {**_TEXT, "maxLength": 10_000},
            "categories": {
                "type": "array",
                "items": {"enum": list(_CATEGORIES)},
                "uniqueItems": True,
            },
            "blocklistNames": {"type": "array", "items": {"type": "string", "maxLength": 64}},
            "haltOnBlocklistHit": {"type": "boolean"},
            "outputType": {"enum": ["FourSeverityLevels", "EightSeverityLevels"]},
        },
        "required": ["text"],
        "additionalProperties": False,
    },
    SHIELD: {
        "type": "object",
        "properties": {
            "userPrompt": {"type": "string", "maxLength": 10_000},
            "documents": {"type": "array", "items": _TEXT, "maxItems": 5},
        },
        "additionalProperties": False,
    },
    GROUND: {
        "type": "object",
        "properties": {
            "domain": {"enum": ["Generic", "Medical"]},
            "task": {"enum": ["Summarization", "QnA"]},
            "qna": {"type": "object", "properties": {"query": {**_TEXT, "maxLength": 7_500}}},
            "text": {**_TEXT, "maxLength": 7_500},
            "groundingSources": {"type": "array", "items": _TEXT, "minItems": 1},
            "reasoning": {"const": False},
        },
        "required": ["text", "groundingSources"],
        "additionalProperties": False,
    },
}
_MOST_DOCUMENTS, _MOST_SOURCES = 10_000, 55_000


class SafetyService:
    """A Content Safety resource.

    Args:
        harms: words, and the category and severity (0 to 7) of a text that holds them.
        blocklists: words of each list, by its name.
        attacks: words of documents that attack.

    Attributes:
        texts: the texts that were judged, in order.
        spoil: changes the JSON of a good answer before it is sent; None leaves it.
    """

    prefix = "/contentsafety/"

    def __init__(
        self,
        harms: Mapping[str, tuple[str, int]] | None = None,
        blocklists: Mapping[str, tuple[str, ...]] | None = None,
        attacks: tuple[str, ...] = (),
    ) -> None:
        self._harms, self._blocklists = dict(harms or {}), dict(blocklists or {})
        self._attacks = attacks
        self._order = random.Random(7)  # noqa: S311 - an order, no secret
        self.texts: list[str] = []
        self.spoil: Callable[[dict[str, Any]], object] | None = None

    def handle(self, request: Recorded) -> Reply:
        """The service's findings."""
        answers = {ANALYZE: self._analyse, SHIELD: self._shield, GROUND: self._ground}
        if request.method != "POST" or request.path not in answers:
            raise InvalidRequest("no such operation")
        if not _is_let_in(request.headers):
            return _error(401, "401")
        version = request.query.get("api-version")
        if version not in _VERSIONS[request.path]:
            raise InvalidRequest(f"api-version {version!r} is unknown")
        for wrong in Draft202012Validator(_SCHEMAS[request.path]).iter_errors(request.json):
            raise InvalidRequest(f"{wrong.json_path}: {wrong.message[:200]}")
        reply = answers[request.path](request.json)
        if reply.status == 200 and self.spoil is not None:
            return Reply(json=self.spoil(dict(reply.json)))  # type: ignore[call-overload]
        return reply

    def _analyse(self, body: dict[str, Any]) -> Reply:
        text = body["text"]
        self.texts.append(text)
        named = body.get("blocklistNames", [])
        unknown = [name for name in named if name not in self._blocklists]
        if unknown:
            return _error(404, "BlocklistNotFound")
        worst = dict.fromkeys(body.get("categories") or _CATEGORIES, 0)
        for word, (category, severity) in self._harms.items():
            if word in text and category in worst:
                worst[category] = max(worst[category], severity)
        four = body.get("outputType", "FourSeverityLevels") == "FourSeverityLevels"
        analysis = [
            {"category": name, "severity": severity - severity % 2 if four else severity}
            for name, severity in worst.items()
        ]
        # The order is not guaranteed.
        self._order.shuffle(analysis)
        hits = [
            {"blocklistName": name, "blocklistItemId": f"{name}-1", "blocklistItemText": word}
            for name in named
            for word in self._blocklists[name]
            if word in text
        ]
        return Reply(json={"blocklistsMatch": hits, "categoriesAnalysis": analysis})

    def _shield(self, body: dict[str, Any]) -> Reply:
        documents = body.get("documents", [])
        if sum(map(len, documents)) > _MOST_DOCUMENTS:
            raise InvalidRequest(f"documents of more than {_MOST_DOCUMENTS} characters")
        found = [{"attackDetected": any(w in text for w in self._attacks)} for text in documents]
        prompt = {"attackDetected": any(w in body.get("userPrompt", "") for w in self._attacks)}
        return Reply(json={"userPromptAnalysis": prompt, "documentsAnalysis": found})

    def _ground(self, body: dict[str, Any]) -> Reply:
        if sum(map(len, body["groundingSources"])) > _MOST_SOURCES:
            raise InvalidRequest(f"sources of more than {_MOST_SOURCES} characters")
        words = body["text"].split()
        known = set(" ".join(body["groundingSources"]).split())
        share = sum(word not in known for word in words) / len(words)
        return Reply(
            json={
                "ungroundedDetected": share > 0,
                "ungroundedPercentage": share,
                "ungroundedDetails": [{"text": word} for word in words if word not in known],
            }
        )


def _error(status: int, code: str) -> Reply:
    return Reply(status=status, json={"error": {"code": code, "message": "SERVER WORDS"}})


def _is_let_in(headers: Mapping[str, str]) -> bool:
    if headers.get("ocp-apim-subscription-key") == KEY:
        return "authorization" not in headers
    return headers.get("authorization") == f"Bearer {token_for(COGNITIVE)}"
