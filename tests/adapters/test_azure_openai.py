from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from azure_server.faults import Fault, Kind
from azure_server.fixtures import azure_server  # noqa: F401 - a fixture
from azure_server.openai import KEY, TOKEN, OpenAIService, error_body, message, refusal, usage
from liftwright.adapters.azure.openai import AzureOpenAIComplete, AzureOpenAIEmbed
from liftwright.calls.retry import Calls
from liftwright.config import Calls as CallSettings
from liftwright.config import Price
from liftwright.config.azure import AzureOpenAI
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from liftwright.log import Log, logging_to
from liftwright.model import Limits, Prompt, Segment, Tokens, Usage
from liftwright.usage import metering

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
PROMPT = Prompt(
    text=WORDS,
    brand="Acme",
    segment=Segment(label="A", size=1, share=1.0, definition="", description=""),
    tone="friendly",
    passages=(),
    limits=Limits(subject_max_characters=60, body_min_words=1, body_max_words=200),
)


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the service is spoken to: the endpoint's form, and who we are."""

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
def server(azure_server: AzureServer) -> AzureServer:  # noqa: F811 - the fixture's name
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
    """The error of one call for a draft."""
    with pytest.raises(ProviderError) as caught:
        writer(server, **changes)(PROMPT)
    assert len(server.requests) == 1
    assert not [canary for canary in CANARIES if canary in str(caught.value)]
    return caught.value


# ── Drafts ────────────────────────────────────────────────────────────────────────────────────


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
        max_output_tokens=321,
    )
    assert json.loads(write(PROMPT).text) == {"subject": "Hello", "body": "Visit us."}
    (request,) = server.requests
    assert request.path == way.route + "responses"
    assert request.query.get("api-version") == way.api_version
    body = request.json
    assert body.pop("text")["format"]["schema"]["required"] == ["subject", "body"]
    assert body.pop("temperature", None) == temperature
    assert body == {
        "model": name,
        "input": WORDS,
        "max_output_tokens": 321,
        "store": False,
    }
    assert service.served == [WORDS]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_complete_never_sends_the_account_of_another_service(
    server: AzureServer, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_ADMIN_KEY",
        "AZURE_OPENAI_API_KEY",
    ):
        monkeypatch.setenv(name, "private")
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


def test_complete_without_a_price_costs_nothing(server: AzureServer) -> None:
    write = AzureOpenAIComplete(
        config(server), api_key=KEY, token_provider=None, price=None, timeout_seconds=60
    )
    assert write(PROMPT).cost_usd == 0


def test_complete_where_no_model_is_told_names_the_configured_one(
    server: AzureServer, service: OpenAIService
) -> None:
    service.outcomes.append({"model": None})
    assert writer(server)(PROMPT).model == "gpt-5-mini"


def test_complete_joins_the_parts_of_a_text(server: AzureServer, service: OpenAIService) -> None:
    service.outcomes.append({"output": [message("one "), {"type": "other"}, 7, message("two")]})
    assert writer(server)(PROMPT).text == "one two"


def test_complete_sends_a_text_that_utf8_cannot_hold(
    server: AzureServer, service: OpenAIService
) -> None:
    broken = Prompt(
        text="half \ud83d",
        brand="",
        segment=PROMPT.segment,
        tone="urgent",
        passages=(),
        limits=PROMPT.limits,
    )
    writer(server)(broken)
    assert service.served == ["half ?"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            ProviderRefused,
            "cut off at 2000 tokens, its reasoning included; raise azure_openai.max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            ProviderRefused,
            "content filter stopped",
        ),
        ({"status": "incomplete"}, ProviderUnavailable, "did not finish"),
        ({"output": [refusal("I will not.")]}, ProviderRefused, "declined"),
        (
            {"status": "failed", "error": {"code": "server_error", "message": "SERVER WORDS"}},
            ProviderUnavailable,
            "server_error",
        ),
        (
            {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
            ProviderUnavailable,
            "rate_limit_exceeded",
        ),
        (
            {"status": "failed", "error": {"code": "invalid_prompt", "message": "x"}},
            ProviderRefused,
            "invalid_prompt",
        ),
        (
            {"status": "failed", "error": {"code": "content_filter", "message": "x"}},
            ProviderRefused,
            "content filter",
        ),
        (
            {"status": "failed", "error": {"code": "SERVER WORDS", "message": "x"}},
            ProviderRefused,
            "failed",
        ),
        ({"status": "failed", "error": {"code": ["server_error"]}}, ProviderRefused, "failed"),
        ({"status": "failed", "error": None}, ProviderRefused, "failed"),
        ({"status": "cancelled"}, ProviderUnavailable, "cancelled"),
        ({"status": "in_progress"}, ProviderUnavailable, "in_progress"),
        ({"status": "SERVER WORDS"}, ProviderUnavailable, "no response"),
        ({"status": ["completed"]}, ProviderUnavailable, "no response"),
        ({"output": [message("  ")]}, ProviderUnavailable, "no text"),
        ({"output": []}, ProviderUnavailable, "no text"),
        ({"output": None}, ProviderUnavailable, "no text"),
    ],
)
def test_complete_with_an_outcome_that_is_no_draft_says_which(
    server: AzureServer,
    service: OpenAIService,
    changes: dict[str, object],
    error: type[ProviderError],
    words: str,
) -> None:
    service.outcomes.append(changes)
    found = refused(server)
    assert type(found) is error
    assert words in str(found)


def test_complete_cut_off_without_reasoning_does_not_speak_of_it(
    server: AzureServer, service: OpenAIService
) -> None:
    service.outcomes.append(
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    )
    found = refused(server, deployment="writer", reasoning=False, max_output_tokens=16)
    assert "at 16 tokens; raise" in str(found)


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
            "refused the prompt (hate, violence)",
        ),
        ({"content_filter_result": []}, "refused the prompt"),
        (None, "refused the prompt"),
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


# ── Faults, through the retry layer ───────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a call: the error, the attempts, and the seconds between them."""

    error: ProviderError
    attempts: int
    gaps: list[float]


def complete_v1(server: AzureServer, seconds: float = 60) -> Callable[[], object]:
    write = writer(server, seconds=seconds)
    return lambda: write(PROMPT)


def complete_dated(server: AzureServer, seconds: float = 60) -> Callable[[], object]:
    write = writer(server, WAYS["dated token"], seconds=seconds)
    return lambda: write(PROMPT)


def embed_v1(server: AzureServer, seconds: float = 60) -> Callable[[], object]:
    embed = embedder(server, WAYS["v1 token"], seconds=seconds)
    return lambda: embed((WORDS,))


PORTS = {"complete v1": complete_v1, "complete dated": complete_dated, "embed v1": embed_v1}


@pytest.fixture(params=PORTS.values(), ids=PORTS)
def port(request: pytest.FixtureRequest, server: AzureServer) -> Callable[[], object]:
    asked: Callable[[], object] = request.param(server)
    return asked


def calls(waits: list[float]) -> Calls:
    return Calls(CallSettings(), sleep=waits.append, jitter=lambda: 0.0)


def failing(server: AzureServer, port: Callable[[], object], fault: Fault, folder: Path) -> Tried:
    """A call that meets the fault at every attempt; nothing of it may hold a canary."""
    server.script("/openai/", [fault] * 9)
    waits: list[float] = []
    with logging_to(Log(folder)), pytest.raises(ProviderError) as caught:
        calls(waits).make("openai", port)
    told = f"{caught.value!r} {(folder / 'system.log').read_text()}"
    assert not [canary for canary in CANARIES if canary in told]
    trace = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in (KEY, TOKEN) if secret in trace]
    return Tried(error=caught.value, attempts=len(server.requests), gaps=waits)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_call_on_a_passing_status_is_made_four_times(
    server: AzureServer, port: Callable[[], object], tmp_path: Path, status: int
) -> None:
    tried = failing(server, port, Fault(kind="status", status=status), tmp_path)
    assert type(tried.error) is ProviderUnavailable
    assert f"Azure OpenAI answered {status}" in str(tried.error)
    assert tried.error.retry_after_seconds is None
    assert (tried.attempts, tried.gaps) == (4, [2.0, 4.0, 8.0])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "answered 400"),
        (401, "AZURE_OPENAI_API_KEY"),
        (403, "Cognitive Services OpenAI User"),
        (404, "deployment"),
        (410, "is retired"),
        (413, "too long"),
        (422, "answered 422"),
    ],
)
def test_call_on_a_lasting_status_is_made_once(
    server: AzureServer, port: Callable[[], object], tmp_path: Path, status: int, words: str
) -> None:
    # Even where it is told when to come back: it would not help.
    fault = Fault(kind="status", status=status, headers={"Retry-After": "1"})
    tried = failing(server, port, fault, tmp_path)
    assert type(tried.error) is ProviderRefused
    assert words in str(tried.error)
    assert (tried.attempts, tried.gaps) == (1, [])


@pytest.mark.parametrize(
    ("headers", "gap"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "Retry-After": "7"}, 1.5),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "600"}, 60.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_call_waits_as_long_as_the_service_asks(
    server: AzureServer, tmp_path: Path, headers: dict[str, str], gap: float, status: int
) -> None:
    fault = Fault(kind="status", status=status, headers=headers)
    tried = failing(server, complete_v1(server), fault, tmp_path)
    assert (tried.attempts, tried.gaps) == (4, [gap] * 3)


@pytest.mark.parametrize("words", ["soon", "-3", "nan", "inf", ""])
def test_call_told_no_time_waits_ever_longer(
    server: AzureServer, tmp_path: Path, words: str
) -> None:
    fault = Fault(kind="status", status=429, headers={"Retry-After": words})
    assert failing(server, complete_v1(server), fault, tmp_path).gaps == [2.0, 4.0, 8.0]


def test_call_waits_until_the_date_that_the_service_names(
    server: AzureServer, tmp_path: Path
) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    fault = Fault(kind="status", status=429, headers={"Retry-After": moment})
    tried = failing(server, complete_v1(server), fault, tmp_path)
    assert len(tried.gaps) == 3
    assert all(20 < gap <= 50 for gap in tried.gaps)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("reset", "cannot be reached"),
        ("cut", "broke off"),
        ("malformed", "not JSON"),
        ("html", "not JSON"),
        ("wrong_schema", "reply"),
        ("empty", "not JSON"),
    ],
)
def test_call_with_a_broken_answer_is_made_four_times(
    server: AzureServer, port: Callable[[], object], tmp_path: Path, kind: Kind, words: str
) -> None:
    tried = failing(server, port, Fault(kind=kind), tmp_path)
    assert type(tried.error) is ProviderUnavailable
    assert words in str(tried.error)
    assert (tried.attempts, tried.gaps) == (4, [2.0, 4.0, 8.0])


@pytest.mark.parametrize("make", PORTS.values(), ids=PORTS)
def test_call_that_takes_too_long_is_made_four_times(
    server: AzureServer, tmp_path: Path, make: Callable[..., Callable[[], object]]
) -> None:
    tried = failing(server, make(server, 0.3), Fault(kind="slow", seconds=30), tmp_path)
    assert type(tried.error) is ProviderUnavailable
    assert "within 0.3 s" in str(tried.error)
    assert (tried.attempts, tried.gaps) == (4, [2.0, 4.0, 8.0])


def test_call_with_an_error_page_is_made_four_times(
    server: AzureServer, port: Callable[[], object], tmp_path: Path
) -> None:
    tried = failing(server, port, Fault(kind="html", status=502), tmp_path)
    assert type(tried.error) is ProviderUnavailable
    assert (tried.attempts, tried.gaps) == (4, [2.0, 4.0, 8.0])


def test_call_with_a_spent_quota_is_made_once(
    server: AzureServer, port: Callable[[], object], tmp_path: Path
) -> None:
    fault = Fault(kind="status", status=429, body=error_body("insufficient_quota"))
    tried = failing(server, port, fault, tmp_path)
    assert type(tried.error) is ProviderRefused
    assert tried.attempts == 1


@pytest.mark.parametrize("kind", ["status", "reset", "cut", "malformed", "empty"])
def test_call_after_a_fault_that_passes_is_answered(
    server: AzureServer, port: Callable[[], object], kind: Kind
) -> None:
    server.script("/openai/", [Fault(kind=kind)])
    waits: list[float] = []
    assert calls(waits).make("openai", port) is not None
    assert (len(server.requests), waits) == (2, [2.0])


def test_call_without_a_service_is_made_four_times(
    service: OpenAIService, server: AzureServer
) -> None:
    waits: list[float] = []
    write = writer(server, endpoint="https://localhost:9")
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        calls(waits).make("openai", lambda: write(PROMPT))
    assert waits == [2.0, 4.0, 8.0]
    assert service.served == []


def test_call_to_a_service_that_cannot_prove_itself_sends_nothing(
    server: AzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        writer(server)(PROMPT)
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "key"), [(410, "azure_openai.deployment"), (404, "azure_openai.deployment")]
)
def test_complete_on_a_deployment_that_is_gone_names_the_key_to_change(
    server: AzureServer, status: int, key: str
) -> None:
    server.script("/openai/", [Fault(kind="status", status=status)])
    found = refused(server)
    assert "'thinker'" in str(found)
    assert key in str(found)


@pytest.mark.parametrize("status", [404, 410])
def test_embed_on_a_deployment_that_is_gone_names_the_key_to_change(
    server: AzureServer, status: int
) -> None:
    server.script("/openai/", [Fault(kind="status", status=status)])
    with pytest.raises(ProviderRefused, match=r"'vectors'.*azure_openai\.embedding_deployment"):
        embedder(server)(("a",))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_complete_of_a_deployment_that_is_not_there_is_refused(
    server: AzureServer, way: Way
) -> None:
    with pytest.raises(ProviderRefused, match=r"404 \(DeploymentNotFound\).*'other'"):
        writer(server, way, deployment="other")(PROMPT)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_complete_by_a_stranger_is_refused(server: AzureServer, way: Way) -> None:
    stranger = Way(
        api_version=way.api_version,
        api_key="stranger" if way.api_key else None,
        token="stranger" if way.token else None,
    )
    with pytest.raises(ProviderRefused, match="401") as caught:
        writer(server, stranger)(PROMPT)
    assert "stranger" not in str(caught.value)
    assert len(server.requests) == 1


# ── Who we are ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("api_version", [None, DATED])
def test_call_asks_for_a_token_each_time(server: AzureServer, api_version: str | None) -> None:
    given: list[str] = []

    def token() -> str:
        given.append(TOKEN)
        return TOKEN

    write = AzureOpenAIComplete(
        config(server, api_version=api_version),
        api_key=None,
        token_provider=token,
        price=None,
        timeout_seconds=60,
    )
    assert given == []
    write(PROMPT)
    write(PROMPT)
    assert len(given) == 2


@pytest.mark.parametrize("api_version", [None, DATED])
@pytest.mark.parametrize(
    ("raised", "error", "words"),
    [
        (ProviderRefused("run az login"), ProviderRefused, "run az login"),
        (ProviderUnavailable("identity is away"), ProviderUnavailable, "identity is away"),
        (RuntimeError(TOKEN), ProviderUnavailable, "no token could be had"),
    ],
)
def test_call_without_a_token_says_why_and_sends_nothing(
    server: AzureServer,
    api_version: str | None,
    raised: Exception,
    error: type[ProviderError],
    words: str,
) -> None:
    def token() -> str:
        raise raised

    write = AzureOpenAIComplete(
        config(server, api_version=api_version),
        api_key=None,
        token_provider=token,
        price=None,
        timeout_seconds=60,
    )
    with pytest.raises(error, match=words) as caught:
        write(PROMPT)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert server.requests == []


@pytest.mark.parametrize("api_version", [None, DATED])
@pytest.mark.parametrize("key", [None, "", "two words", "line\n", "schlüssel"])
def test_client_without_a_usable_key_names_the_secret_and_not_its_value(
    server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
    api_version: str | None,
    key: str | None,
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "of-the-environment")
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_API_KEY") as caught:
        writer(server, Way(api_version=api_version, api_key=key))
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["http://a.example", "a.example", "https://", "https://a.example/openai/v1"]
)
def test_client_with_an_address_that_is_no_resource_is_refused(endpoint: str) -> None:
    options = AzureOpenAI(endpoint=endpoint, deployment="d", model="m")
    with pytest.raises(ConfigurationError, match=r"azure_openai\.endpoint"):
        AzureOpenAIComplete(
            options, api_key=KEY, token_provider=None, price=None, timeout_seconds=60
        )


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_repr_shows_no_secret(server: AzureServer, way: Way) -> None:
    for made in (writer(server, way), embedder(server, way)):
        made((WORDS,) if isinstance(made, AzureOpenAIEmbed) else PROMPT)  # type: ignore[operator]
        shown = f"{made!r} {vars(made)!r} {made.identity!r}"
        assert KEY not in shown
        assert TOKEN not in shown


def test_complete_identity_changes_with_all_that_changes_a_reply(server: AzureServer) -> None:
    plain = writer(server).identity
    others = [
        writer(server, model="other").identity,
        writer(server, deployment="other").identity,
        writer(server, WAYS["dated key"]).identity,
        writer(server, endpoint="https://other.example").identity,
        writer(server, reasoning=False).identity,
        writer(server, reasoning=False, temperature=0.1).identity,
        writer(server, max_output_tokens=99).identity,
    ]
    assert plain.provider == "azure_openai"
    assert plain == writer(server, WAYS["v1 token"], seconds=9).identity
    assert (
        plain
        == writer(server, endpoint=f"{server.url.upper()}/".replace("HTTPS", "https")).identity
    )
    assert len({plain, *others}) == 8
    assert writer(server).metered


# ── Vectors ───────────────────────────────────────────────────────────────────────────────────


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


def test_embed_without_texts_is_as_wide_as_with_some(server: AzureServer) -> None:
    assert embedder(server)(()).shape == (0, 1536)
    assert embedder(server, embedding_dimensions=8)(()).shape == (0, 8)
    assert len(server.requests) == 1


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
    vectors = calls([]).make("openai", lambda: embed(texts))
    assert vectors.shape == (500, 8)
    assert sorted(service.served) == sorted(texts)


def test_embed_remembers_the_texts_of_before(server: AzureServer) -> None:
    embed = embedder(server)
    first = embed(("a", "b"))
    again = embed(("b", "c", "a"))
    assert [request.json["input"] for request in server.requests] == [["a", "b"], ["c"]]
    assert (again[[2, 0]] == first).all()
    assert (embed(("c", "b"))[1] == first[1]).all()
    assert len(server.requests) == 2


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
    with pytest.raises(ProviderUnavailable, match="one vector for each text"):
        embedder(server)(("a", "b"))


def test_embed_with_vectors_of_another_width_is_unavailable(server: AzureServer) -> None:
    body = rows([1.0, 2.0])
    server.script("/openai/", [Fault(kind="status", status=200, body=body)])
    with pytest.raises(ProviderUnavailable, match="one vector"):
        embedder(server, embedding_dimensions=3)(("a",))


def test_embed_takes_vectors_as_numbers_too(server: AzureServer) -> None:
    server.script("/openai/", [Fault(kind="status", status=200, body=rows([3.0, 4.0]))])
    assert embedder(server)(("a",))[0] == pytest.approx([0.6, 0.8])


def test_embed_without_a_deployment_names_the_key(server: AzureServer) -> None:
    with pytest.raises(ConfigurationError, match=r"azure_openai\.embedding_deployment"):
        embedder(server, embedding_deployment=None)


def test_embed_identity_changes_with_all_that_changes_a_vector(server: AzureServer) -> None:
    plain = embedder(server).identity
    others = [
        embedder(server, embedding_deployment="other").identity,
        embedder(server, embedding_dimensions=8).identity,
        embedder(server, endpoint="https://other.example").identity,
        embedder(server, WAYS["dated key"]).identity,
    ]
    assert plain == embedder(server, deployment="other", max_output_tokens=99).identity
    assert len({plain, *others}) == 5
    assert embedder(server).metered


# ── What is charged ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "outcome",
    [
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        {"output": [refusal("I will not.")]},
        {"output": []},
    ],
)
def test_complete_tells_what_a_reply_of_no_use_was_charged(
    server: AzureServer, service: OpenAIService, outcome: dict[str, object]
) -> None:
    service.outcomes.append(outcome)
    with metering() as used, pytest.raises(ProviderError):
        writer(server)(PROMPT)
    assert used == [Usage(tokens=Tokens(input=1000, cached_input=400, output=200))]


def test_complete_without_usage_tells_of_no_charge(
    server: AzureServer, service: OpenAIService
) -> None:
    service.usage = None
    with metering() as used:
        writer(server)(PROMPT)
    assert used == []


def test_embed_tells_the_tokens_of_each_batch_and_of_nothing_remembered(
    server: AzureServer,
) -> None:
    embed = embedder(server, embedding_dimensions=8)
    with metering() as used:
        embed(tuple(f"text {number}" for number in range(300)))
    assert len(used) == len(server.requests) == 2
    assert sum(one.tokens.input for one in used) > 300
    assert all(one.tokens.output == one.units == 0 for one in used)
    with metering() as again:
        embed(("text 7",))
    assert again == []
