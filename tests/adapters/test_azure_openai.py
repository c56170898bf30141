from __future__ import annotations

import json
import traceback
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from azure_server.faults import Fault
from azure_server.openai import KEY, TOKEN, OpenAIService, error_body, message, refusal, usage
from fake_clock import FakeClock
from liftwright.adapters.azure import AzureOpenAI
from liftwright.adapters.azure.openai import AzureOpenAIComplete, AzureOpenAIEmbed
from liftwright.config import Price
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from liftwright.log import Log, logging_to
from liftwright.model import Tokens, Usage
from writing_samples import BARE_PROMPT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from azure_server.server import AzureServer

DATED = "2025-04-01-preview"
WORDS = "CANARY-PROMPT about boots"
CANARIES = (KEY, TOKEN, WORDS, "SERVER WORDS", "I will not")
PRICE = Price(
    input_usd_per_million=10,
    cached_input_usd_per_million=1,
    output_usd_per_million=50,
    as_of=date(2026, 11, 1),
)
PROMPT = replace(BARE_PROMPT, text=WORDS)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A form of the endpoint and of authentication."""

    api_version: str | None = None
    api_key: str | None = KEY
    token: str | None = None

    @property
    def route(self) -> str:
        return "/openai/" if self.api_version else "/openai/v1/"

    def credentials(self) -> dict[str, Any]:
        token = self.token
        return {
            "api_key": self.api_key,
            "token_provider": (lambda: token) if token is not None else None,
        }


WAYS = {
    "v1 key": Way(),
    "v1 token": Way(api_key=None, token=TOKEN),
    "dated key": Way(api_version=DATED),
    "dated token": Way(api_version=DATED, api_key=None, token=TOKEN),
}


@pytest.fixture
def service() -> OpenAIService:
    return OpenAIService()


@pytest.fixture
def azure_handlers(service: OpenAIService) -> list[OpenAIService]:
    return [service]


@pytest.fixture
def server(azure_server: AzureServer) -> AzureServer:
    return azure_server


def config(server: AzureServer, **changes: object) -> AzureOpenAI:
    return AzureOpenAI.model_validate(
        {
            "endpoint": server.url,
            "deployment": "thinker",
            "model": "gpt-5-mini",
            "embedding_deployment": "vectors",
            **changes,
        }
    )


def writer(
    server: AzureServer, way: Way = WAYS["v1 key"], *, seconds: float = 60, **changes: object
) -> AzureOpenAIComplete:
    return AzureOpenAIComplete(
        config(server, api_version=way.api_version, **changes),
        price=PRICE,
        timeout_seconds=seconds,
        **way.credentials(),
    )


def embedder(
    server: AzureServer, way: Way = WAYS["v1 key"], *, seconds: float = 60, **changes: object
) -> AzureOpenAIEmbed:
    return AzureOpenAIEmbed(
        config(server, api_version=way.api_version, **changes),
        timeout_seconds=seconds,
        **way.credentials(),
    )


def refused(server: AzureServer, **changes: object) -> ProviderError:
    """The error of one call for a message."""
    with pytest.raises(ProviderError) as caught:
        writer(server, **changes)(PROMPT)
    assert len(server.requests) == 1
    assert not [canary for canary in CANARIES if canary in str(caught.value)]
    return caught.value


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("reasoning", [True, False])
def test_complete_in_every_form_sends_what_the_service_admits(
    server: AzureServer, service: OpenAIService, way: Way, *, reasoning: bool
) -> None:
    name = "thinker" if reasoning else "writer"
    temperature = None if reasoning else 0.3
    write = writer(
        server,
        way,
        deployment=name,
        reasoning=reasoning,
        temperature=temperature,
        reasoning_effort="low" if reasoning else None,
        max_output_tokens=321,
    )
    assert json.loads(write(PROMPT).text) == {"subject": "Hello", "body": "Visit us."}
    (request,) = server.requests
    assert request.path == way.route + "responses"
    assert request.query.get("api-version") == way.api_version
    body = request.json
    assert body.pop("text")["format"]["schema"]["required"] == ["subject", "body"]
    assert body.pop("temperature", None) == temperature
    assert body.pop("reasoning", None) == ({"effort": "low"} if reasoning else None)
    assert body == {"model": name, "input": WORDS, "max_output_tokens": 321, "store": False}
    assert service.served == [WORDS]


def test_complete_leaves_out_the_reasoning_effort_that_the_model_does_not_know(
    server: AzureServer,
) -> None:
    error = {"message": "SERVER WORDS", "code": "unsupported_value", "param": "reasoning.effort"}
    server.script("/openai/", [Fault(kind="status", status=400, body={"error": error})])
    write = writer(server, reasoning_effort="xhigh")
    for _ in range(2):
        assert json.loads(write(PROMPT).text) == {"subject": "Hello", "body": "Visit us."}
    assert ["reasoning" in request.json for request in server.requests] == [True, False, False]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_complete_never_sends_the_account_of_another_service(
    server: AzureServer, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    for name in ("API_KEY", "ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
        monkeypatch.setenv(f"OPENAI_{name}", "private")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "private")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://private.invalid")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://private.invalid")
    writer(server, way)(PROMPT)
    assert not [value for value in server.requests[0].headers.values() if "private" in value]


def test_complete_gives_model_tokens_and_cost_of_each_kind(server: AzureServer) -> None:
    completion = writer(server)(PROMPT)
    assert completion.model == "gpt-5-mini-2025-08-07"
    assert completion.tokens == Tokens(input=1000, cached_input=400, output=200)
    assert completion.cost_usd == pytest.approx((600 * 10 + 400 * 1 + 200 * 50) / 1e6)


@pytest.mark.parametrize(
    ("told", "tokens"),
    [
        (None, Tokens()),
        ({"input_tokens": -1, "output_tokens": 2}, Tokens()),
        ({"input_tokens": 5, "output_tokens": True}, Tokens()),
        ({"input_tokens": 5, "output_tokens": 2}, Tokens(input=5, output=2)),
        (usage(given=5, cached=9, written=2), Tokens(input=5, cached_input=5, output=2)),
    ],
)
def test_complete_counts_only_what_the_service_reports(
    server: AzureServer,
    service: OpenAIService,
    tmp_path: Path,
    told: dict[str, object] | None,
    tokens: Tokens,
) -> None:
    service.usage = told
    with logging_to(Log(tmp_path)):
        assert writer(server)(PROMPT).tokens == tokens
    log = tmp_path / "system.log"
    logged = log.read_text() if log.exists() else ""
    assert ("usage_not_reported" in logged) is (tokens == Tokens())


def test_complete_joins_the_parts_of_a_text(server: AzureServer, service: OpenAIService) -> None:
    service.outcomes.append({"output": [message("one "), {"type": "other"}, 7, message("two")]})
    assert writer(server)(PROMPT).text == "one two"


def test_complete_sends_a_text_that_utf8_cannot_hold(
    server: AzureServer, service: OpenAIService
) -> None:
    writer(server)(replace(PROMPT, text="half \ud83d"))
    assert service.served == ["half ?"]


def incomplete(reason: str) -> dict[str, object]:
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def failed(code: object) -> dict[str, object]:
    return {"status": "failed", "error": {"code": code, "message": "SERVER WORDS"}}


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        (incomplete("max_output_tokens"), ProviderRefused, "azure_openai.max_output_tokens"),
        (incomplete("content_filter"), ProviderRefused, "content filter"),
        ({"status": "incomplete"}, ProviderUnavailable, ""),
        ({"output": [refusal("I will not.")]}, ProviderRefused, "declined"),
        (failed("server_error"), ProviderUnavailable, "server_error"),
        (failed("rate_limit_exceeded"), ProviderUnavailable, "rate_limit_exceeded"),
        (failed("invalid_prompt"), ProviderRefused, "invalid_prompt"),
        (failed("content_filter"), ProviderRefused, "content filter"),
        (failed("SERVER WORDS"), ProviderRefused, "failed"),
        (failed(["server_error"]), ProviderRefused, "failed"),
        ({"status": "failed", "error": None}, ProviderRefused, "failed"),
        ({"status": "in_progress"}, ProviderUnavailable, "in_progress"),
        ({"status": "SERVER WORDS"}, ProviderUnavailable, ""),
        ({"status": ["completed"]}, ProviderUnavailable, ""),
        ({"output": [message("  ")]}, ProviderUnavailable, "no text"),
        ({"output": None}, ProviderUnavailable, "no text"),
    ],
)
def test_complete_with_an_outcome_that_is_no_draft_says_which_and_was_charged(
    server: AzureServer,
    service: OpenAIService,
    changes: dict[str, object],
    error: type[ProviderError],
    named: str,
) -> None:
    service.outcomes.append(changes)
    found = refused(server)
    assert type(found) is error
    assert named in str(found)
    assert found.usage == Usage(tokens=Tokens(input=1000, cached_input=400, output=200))


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (
            {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {
                    "violence": {"filtered": True, "severity": "high"},
                    "hate": {"filtered": True, "severity": "medium"},
                    "sexual": {"filtered": False, "severity": "safe"},
                    "SERVER WORDS": {"filtered": True},
                    "odd": 3,
                },
            },
            "(hate, violence)",
        ),
        ({"content_filter_result": []}, "prompt"),
        (None, "prompt"),
    ],
)
def test_complete_where_the_filter_refuses_names_the_categories(
    server: AzureServer, inner: object, words: str
) -> None:
    body = error_body("content_filter", innererror=inner)
    server.script("/openai/", [Fault(kind="status", status=400, body=body)])
    found = refused(server)
    assert isinstance(found, ProviderRefused)
    assert str(found).endswith(words)


def test_call_to_a_service_that_cannot_prove_itself_sends_nothing(
    server: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ProviderRefused, match=r"certificate .* SSL_CERT_FILE"):
        writer(server)(PROMPT)
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "named"),
    [
        (401, ("AZURE_OPENAI_API_KEY",)),
        (403, ("Cognitive Services OpenAI User",)),
        (404, ("'thinker'", "azure_openai.deployment")),
        (410, ("'thinker'", "azure_openai.deployment")),
    ],
)
def test_complete_that_is_refused_names_what_to_change(
    server: AzureServer, status: int, named: tuple[str, ...]
) -> None:
    server.script("/openai/", [Fault(kind="status", status=status)])
    error = str(refused(server))
    assert all(name in error for name in named)


def test_embed_on_a_deployment_that_is_gone_names_the_key_to_change(server: AzureServer) -> None:
    server.script("/openai/", [Fault(kind="status", status=404)])
    with pytest.raises(ProviderRefused, match=r"'vectors'.*azure_openai\.embedding_deployment"):
        embedder(server)(("a",))


def by_token(
    server: AzureServer, provider: Callable[[], str], api_version: str | None
) -> AzureOpenAIComplete:
    return AzureOpenAIComplete(
        config(server, api_version=api_version),
        api_key=None,
        token_provider=provider,
        price=None,
        timeout_seconds=60,
    )


@pytest.mark.parametrize("api_version", [None, DATED])
def test_call_asks_for_a_token_each_time(server: AzureServer, api_version: str | None) -> None:
    given: list[str] = []

    def token() -> str:
        given.append(TOKEN)
        return TOKEN

    write = by_token(server, token, api_version)
    assert given == []
    write(PROMPT)
    write(PROMPT)
    assert len(given) == 2


@pytest.mark.parametrize("api_version", [None, DATED])
@pytest.mark.parametrize(
    ("raised", "error", "named"),
    [
        (ProviderRefused("az login"), ProviderRefused, "az login"),
        (ProviderUnavailable("away"), ProviderUnavailable, "away"),
        (RuntimeError(TOKEN), ProviderUnavailable, "token"),
    ],
)
def test_call_without_a_token_says_why_and_sends_nothing(
    server: AzureServer,
    api_version: str | None,
    raised: Exception,
    error: type[ProviderError],
    named: str,
) -> None:
    def token() -> str:
        raise raised

    with pytest.raises(error, match=named) as caught:
        by_token(server, token, api_version)(PROMPT)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert server.requests == []


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("dimensions", [None, 64])
def test_embed_in_every_form_gives_unit_vectors_in_order(
    server: AzureServer, way: Way, dimensions: int | None
) -> None:
    embed = embedder(server, way, embedding_dimensions=dimensions)
    vectors = embed(("red boots", "blue hats", "red boots", "boots, red"))
    assert vectors.shape == (4, dimensions or 1536)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (vectors[0] == vectors[2]).all()
    assert vectors[0] @ vectors[3] > 0.99 > vectors[0] @ vectors[1]
    assert len(server.requests) == 1
    assert len(server.requests[0].json["input"]) == 3


def test_embed_sends_dimensions_only_where_they_are_configured(server: AzureServer) -> None:
    embedder(server, embedding_deployment="old-vectors")(("a",))
    assert "dimensions" not in server.requests[0].json


def test_embed_sends_many_texts_in_batches_and_keeps_their_order(server: AzureServer) -> None:
    embed = embedder(server, embedding_dimensions=32)
    texts = tuple(f"text {number}" for number in range(600))
    together = embed(texts)
    assert [len(request.json["input"]) for request in server.requests] == [256, 256, 88]
    alone = embedder(server, embedding_dimensions=32)
    for place in (0, 255, 256, 599):
        assert together[place] == pytest.approx(alone((texts[place],))[0], abs=1e-6)


def test_embed_keeps_a_batch_within_what_the_service_admits(server: AzureServer) -> None:
    embed = embedder(server, embedding_dimensions=8)
    long = [f"{number} " + "wort " * 5000 for number in range(40)]
    embed((*long, "", "é" * 9000, "\ud83d"))
    batches = [request.json["input"] for request in server.requests]
    assert len(batches) > 1
    for batch in batches:
        assert sum(len(text.encode()) for text in batch) <= 250_000
        assert all(0 < len(text.encode()) <= 8191 for text in batch)


def test_embed_after_a_fault_pays_only_for_what_it_lacks(
    server: AzureServer, service: OpenAIService
) -> None:
    server.script("/openai/", [None, Fault(kind="status", status=503), None])
    embed = embedder(server, embedding_dimensions=8)
    texts = tuple(f"text {number}" for number in range(500))
    vectors = FakeClock().calls().make("openai", lambda: embed(texts))
    assert vectors.shape == (500, 8)
    assert sorted(service.served) == sorted(texts)


def test_embed_logs_counts_and_no_texts(server: AzureServer, tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)):
        embedder(server)((WORDS, "two words"))
    lines = (tmp_path / "system.log").read_text().splitlines()
    call, record = map(json.loads, lines)
    assert call["action"] == "azure_call"
    assert WORDS not in lines[0]
    assert record["action"] == "texts_embedded"
    assert record["context"] == {"model": "vectors", "texts": 2, "tokens": 6}


def rows(*embeddings: object) -> dict[str, object]:
    return {"data": [{"index": i, "embedding": value} for i, value in enumerate(embeddings)]}


@pytest.mark.parametrize(
    "body",
    [
        {"data": None},
        {"data": [1, 2]},
        {"data": [{"index": 0}, {"index": 1}]},
        {"data": [{"index": [0], "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        rows([1.0, 2.0]),
        rows([1.0], [1.0], [1.0]),
        rows([1.0], [1.0, 2.0]),
        rows([0.0, 0.0], [1.0, 2.0]),
        rows([float("nan"), 0.0], [1.0, 2.0]),
        rows("not base64!", "AACAPw=="),
        rows("AACA", "AACA"),
        rows("", ""),
        rows([], []),
        rows({"a": 1}, {"a": 1}),
        rows([[1.0]], [[1.0]]),
        rows(["x"], ["y"]),
    ],
)
def test_embed_with_vectors_that_are_none_is_unavailable(
    server: AzureServer, body: dict[str, object]
) -> None:
    server.script("/openai/", [Fault(kind="status", status=200, body=body)])
    with pytest.raises(ProviderUnavailable):
        embedder(server)(("a", "b"))


def test_embed_without_a_deployment_names_the_key(server: AzureServer) -> None:
    with pytest.raises(ConfigurationError, match=r"azure_openai\.embedding_deployment"):
        embedder(server, embedding_deployment=None)


def test_embed_tells_the_tokens_of_each_batch_and_of_nothing_remembered(
    server: AzureServer,
) -> None:
    embed = embedder(server, embedding_dimensions=8)
    used = embed.call_with_usage(tuple(f"text {number}" for number in range(300))).usage
    assert len(server.requests) == 2
    assert used.tokens.input > 300
    assert used.tokens.output == used.units == 0
    assert embed.call_with_usage(("text 7",)).usage == Usage()
