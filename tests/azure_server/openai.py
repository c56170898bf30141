"""Azure OpenAI: responses and embeddings, at the v1 endpoint and in the dated form.

Requests must follow the rules that the published description does not state.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure_server.faults import SERVER_WORDS
from azure_server.server import InvalidRequest, Recorded, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MESSAGE = {"subject": "Hello", "body": "Visit us."}
KEY = "key-canary-77e1"
TOKEN = "token-canary-90ab"  # noqa: S105 - no secret: it is to be looked for

_ROUTE = re.compile(
    r"/openai/(?P<v1>v1/)?(?:deployments/(?P<inside>[^/]+)/)?(?P<kind>responses|embeddings)"
)
_RESPONSE_KEYS = {
    *("model", "input", "text", "max_output_tokens", "temperature", "top_p", "store", "reasoning"),
}
_EMBEDDING_KEYS = {"model", "input", "dimensions", "encoding_format"}
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WORD = re.compile(r"\w+")
_FIRST_WITH_RESPONSES = "2025-03-01-preview"
_LEAST_OUTPUT_TOKENS = 16
_MOST_TEXTS = 2048
_MOST_TEXT_TOKENS = 8192
_MOST_BATCH_TOKENS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployed model.

    Attributes:
        reasoning: it refuses temperature and top_p.
        dimensions: of an embedding model; None for one that writes.
        shortens: whether an embedding model takes the parameter `dimensions`.
    """

    model: str
    reasoning: bool = False
    dimensions: int | None = None
    shortens: bool = True


def _deployments() -> dict[str, Deployment]:
    return {
        "writer": Deployment(model="gpt-4.1-mini-2025-04-14"),
        "thinker": Deployment(model="gpt-5-mini-2025-08-07", reasoning=True),
        "vectors": Deployment(model="text-embedding-3-small", dimensions=1536),
        "old-vectors": Deployment(model="text-embedding-ada-002", dimensions=1536, shortens=False),
    }


@dataclass(kw_only=True)
class OpenAIService:
    """One Azure OpenAI resource.

    Attributes:
        write: makes the text of a response from the prompt.
        embed: makes a vector from a text and the number of dimensions.
        usage: of each response, as it is reported.
        outcomes: changes to the next responses, one each, such as `{"status": "incomplete"}`.
        served: the prompts and texts that were answered, in order.
    """

    prefix: str = "/openai/"
    deployments: dict[str, Deployment] = field(default_factory=_deployments)
    key: str = KEY
    token: str = TOKEN
    write: Callable[[str], str] = lambda _: json.dumps(MESSAGE)
    embed: Callable[[str, int], Sequence[float]] = field(default_factory=lambda: bag_of_words)
    usage: Mapping[str, object] | None = field(
        default_factory=lambda: usage(given=1000, cached=400, written=200)
    )
    outcomes: deque[Mapping[str, object]] = field(default_factory=deque)
    served: list[str] = field(default_factory=list)

    def handle(self, request: Recorded) -> Reply:
        """A response or vectors, or an error as from the real service."""
        if request.method != "POST" or not isinstance(request.json, dict):
            raise InvalidRequest("POST with a JSON object expected")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise InvalidRequest("content-type must be application/json")
        kind, name = _route(request)
        if not self._admits(request):
            return error(401, "401", "Access denied due to invalid subscription key or token")
        deployment = self.deployments.get(name)
        if deployment is None or (deployment.dimensions is None) is not (kind == "responses"):
            return error(404, "DeploymentNotFound", f"{SERVER_WORDS}: {name}")
        if kind == "responses":
            return self._respond(request.json, deployment)
        return self._embed(request.json, deployment)

    def _admits(self, request: Recorded) -> bool:
        bearer, key = request.headers.get("authorization"), request.headers.get("api-key")
        # Older clients send a key in both headers; the service accepts that.
        if bearer is not None and key is not None and bearer != f"Bearer {key}":
            raise InvalidRequest("key and token at once")
        known = {f"Bearer {self.token}"}
        if request.path.startswith("/openai/v1/"):
            known.add(f"Bearer {self.key}")
        return key == self.key or bearer in known

    def _respond(self, body: dict[str, Any], deployment: Deployment) -> Reply:
        _check_response(body, deployment)
        prompt = body["input"]
        self.served.append(prompt)
        reply = {
            **response(self.write(prompt), model=deployment.model, usage=self.usage),
            "max_output_tokens": body["max_output_tokens"],
            "store": body.get("store", True),
            "text": body["text"],
        }
        changes = self.outcomes.popleft() if self.outcomes else {}
        return Reply(json={**reply, **changes})

    def _embed(self, body: dict[str, Any], deployment: Deployment) -> Reply:
        texts = _check_embedding(body, deployment)
        size = body.get("dimensions") or deployment.dimensions
        self.served += texts
        data = [
            {"object": "embedding", "index": index, "embedding": self.embed(text, size)}
            for index, text in enumerate(texts)
        ]
        if body.get("encoding_format") == "base64":
            for item in data:
                item["embedding"] = as_base64(item["embedding"])
        tokens = sum(len(_WORD.findall(text)) for text in texts)
        # The order of rows is not guaranteed; each has the index of its text.
        return Reply(
            json={
                "object": "list",
                "model": deployment.model,
                "data": data[::-1],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


def response(text: str, *, model: str, usage: Mapping[str, object] | None) -> dict[str, object]:
    """The body of a good response, with a reasoning item before the message."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1.0,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [{"type": "reasoning", "id": "rs_1", "summary": []}, message(text)],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def message(text: str) -> dict[str, object]:
    """An output item with a text."""
    return _item({"type": "output_text", "text": text, "annotations": [], "logprobs": []})


def refusal(words: str) -> dict[str, object]:
    """An output item by which the model declines."""
    return _item({"type": "refusal", "refusal": words})


def _item(part: Mapping[str, object]) -> dict[str, object]:
    return {"type": "message", "id": "1", "role": "assistant", "status": "done", "content": [part]}


def usage(*, given: int, cached: int, written: int) -> dict[str, object]:
    """The usage of a response."""
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + written,
    }


def error(status: int, code: str, words: str, **more: object) -> Reply:
    """An error response."""
    return Reply(status=status, json=error_body(code, words, **more))


def error_body(code: str, words: str = SERVER_WORDS, **more: object) -> dict[str, object]:
    """The body of an error, with further fields such as `innererror`."""
    return {"error": {"code": code, "message": words, "param": None, "type": None, **more}}


def as_base64(vector: Sequence[float]) -> str:
    """A vector as the service packs it: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def bag_of_words(text: str, size: int) -> list[float]:
    """A vector that texts with the same words share; its length is not 1."""
    vector = [0.001] * size
    for word in _WORD.findall(text.lower()):
        place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % size
        vector[place] += 1.0
    return vector


def _route(request: Recorded) -> tuple[str, str]:
    """The operation, and the name of its deployment."""
    version, model = request.query.get("api-version"), str(request.json.get("model", ""))
    found = _ROUTE.fullmatch(request.path)
    _demand(found, "unknown path")
    assert found
    kind, inside = found["kind"], found["inside"]
    if found["v1"]:
        _demand(version in {None, "v1", "preview"}, "the v1 endpoint takes no dated api-version")
        return kind, model
    _demand(version and _DATED.fullmatch(version), f"api-version: found {version!r}")
    _demand((kind == "embeddings") is bool(inside), "only embeddings have a deployment's path")
    _demand(kind != "responses" or str(version) >= _FIRST_WITH_RESPONSES, f"api-version {version}")
    return kind, inside or model


def _check_response(body: dict[str, Any], deployment: Deployment) -> None:
    _demand(set(body) <= _RESPONSE_KEYS, f"unknown keys: {sorted(set(body) - _RESPONSE_KEYS)}")
    _demand(isinstance(body.get("input"), str) and body["input"], "input: a text expected")
    _demand(body.get("max_output_tokens", 0) >= _LEAST_OUTPUT_TOKENS, "max_output_tokens")
    samples = {"temperature", "top_p"} & set(body)
    _demand(not (deployment.reasoning and samples), "temperature of a reasoning model")
    _demand(deployment.reasoning or "reasoning" not in body, "reasoning of another model")
    form = body.get("text", {}).get("format", {})
    named = form.get("type") == "json_schema" and _SCHEMA_NAME.fullmatch(form.get("name", ""))
    _demand(named, "text.format: a named JSON schema expected")
    schema = form.get("schema", {})
    closed = form.get("strict") is True and schema.get("additionalProperties") is False
    required = sorted(schema.get("required", ())) == sorted(schema.get("properties", {"": None}))
    _demand(closed and required, "text.format: a strict schema with all properties expected")


def _check_embedding(body: dict[str, Any], deployment: Deployment) -> list[str]:
    _demand(set(body) <= _EMBEDDING_KEYS, f"unknown keys: {sorted(set(body) - _EMBEDDING_KEYS)}")
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    _demand(isinstance(texts, list) and 0 < len(texts) <= _MOST_TEXTS, "input: too many texts")
    _demand(all(isinstance(text, str) and text for text in texts), "input: an empty text")
    # A word has at least one token.
    sizes = [len(text.split()) for text in texts]
    short = max(sizes) <= _MOST_TEXT_TOKENS and sum(sizes) <= _MOST_BATCH_TOKENS
    _demand(short, "input: too many tokens")
    size = body.get("dimensions")
    fits = deployment.shortens and 0 < (size or 1) <= (deployment.dimensions or 0)
    _demand(size is None or fits, "dimensions")
    return list(texts)


def _demand(fulfilled: object, reason: str) -> None:
    if not fulfilled:
        raise InvalidRequest(reason)
