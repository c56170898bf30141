from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from compatible_server import Answer, CompatibleServer, chat_completion, failure
from liftwright.adapters.openai import OpenAICompatible
from liftwright.adapters.openai.compatible import CompatibleWriter
from liftwright.config import Price
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from liftwright.log import Log, logging_to
from liftwright.model import Tokens, Usage
from writing_samples import BARE_PROMPT as PROMPT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPLY = '{"subject": "Hello", "body": "Visit us."}'


@pytest.fixture
def server() -> Iterator[CompatibleServer]:
    with CompatibleServer().running() as running:
        running.otherwise = lambda _: Answer(body=chat_completion(REPLY))
        yield running


def writer(
    server: CompatibleServer,
    *,
    timeout_seconds: float = 60,
    price: Price | None = None,
    api_key: str | None = "k-1",
    **config: object,
) -> CompatibleWriter:
    values = {"base_url": server.url, "model": "small", **config}
    return CompatibleWriter(
        OpenAICompatible.model_validate(values),
        api_key=api_key,
        timeout_seconds=timeout_seconds,
        price=price,
    )


def fault(server: CompatibleServer, answer: Answer, **config: object) -> ProviderError:
    server.script.append(answer)
    with pytest.raises(ProviderError) as caught:
        writer(server, structured_output=False, **config)(PROMPT)
    assert len(server.requests) == 1
    return caught.value


def test_call_sends_model_prompt_limits_and_schema(server: CompatibleServer) -> None:
    writer(server, temperature=0.3, max_output_tokens=321)(PROMPT)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer k-1"
    assert request.prompt == PROMPT.text
    assert request.body["model"] == "small"
    assert request.body["max_tokens"] == 321
    assert request.body["temperature"] == 0.3
    form = request.body["response_format"]
    assert isinstance(form, dict)
    assert form["json_schema"]["schema"]["required"] == ["subject", "body"]


def test_call_never_sends_the_account_of_another_service(
    server: CompatibleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-private")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-private")
    writer(server, api_key=None)(PROMPT)
    assert not [value for value in server.requests[0].headers.values() if "private" in value]


def test_call_to_this_machine_goes_past_a_proxy(
    server: CompatibleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert writer(server)(PROMPT).text == REPLY


def test_call_gives_text_model_tokens_and_cost(server: CompatibleServer) -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 400},
    }
    server.script.append(Answer(body=chat_completion(REPLY, usage=usage)))
    price = Price(
        input_usd_per_million=10,
        cached_input_usd_per_million=1,
        output_usd_per_million=50,
        as_of=date(2026, 1, 1),
    )
    completion = writer(server, price=price)(PROMPT)
    assert completion.text == REPLY
    assert completion.model == "served-model"
    assert completion.tokens == Tokens(input=1000, cached_input=400, output=200)
    assert completion.cost_usd == pytest.approx((600 * 10 + 400 * 1 + 200 * 50) / 1e6)


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": "9"}, [1]],
)
def test_call_without_usage_counts_nothing_and_says_so(
    server: CompatibleServer, usage: object, tmp_path: Path
) -> None:
    server.script.append(Answer(body=chat_completion(REPLY, usage=usage)))
    with logging_to(Log(tmp_path)):
        assert writer(server)(PROMPT).tokens == Tokens()
    assert "usage_not_reported" in (tmp_path / "system.log").read_text()


def test_call_where_the_request_itself_is_refused_keeps_the_schema(
    server: CompatibleServer,
) -> None:
    server.script += [failure(400, "context_length_exceeded"), failure(400)]
    ask = writer(server)
    with pytest.raises(ProviderRefused, match="context_length_exceeded"):
        ask(PROMPT)
    ask(PROMPT)
    assert "response_format" in server.requests[-1].body


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=chat_completion(REPLY), cut_after=20),
        Answer(body=b"{not json"),
        Answer(body=b"\xff\xfe\x00"),
        Answer(body=b"[" * 100_000),
        Answer(body=[]),
        Answer(body={}),
        Answer(body={"choices": []}),
        Answer(body={"choices": [{"finish_reason": "stop"}]}),
        Answer(body=chat_completion(None)),
        Answer(body=chat_completion("  ")),
        Answer(status=502, body=b"<html>bad gateway</html>"),
    ],
)
def test_call_with_a_broken_reply_is_unavailable(server: CompatibleServer, answer: Answer) -> None:
    assert isinstance(fault(server, answer), ProviderUnavailable)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"finish_reason": "length"}, "max_output_tokens"),
        ({"finish_reason": "content_filter"}, "content filter"),
        ({"refusal": "I will not."}, "declined"),
    ],
)
def test_call_with_a_text_that_is_no_answer_is_refused(
    server: CompatibleServer, changes: dict[str, object], named: str
) -> None:
    error = fault(server, Answer(body=chat_completion(REPLY, **changes)))
    assert isinstance(error, ProviderRefused)
    assert named in str(error)
    assert error.usage == Usage(tokens=Tokens(input=1000, output=200))
    assert "I will not" not in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=chat_completion(REPLY), delay_seconds=2.0),
        # Each byte comes in time, and the whole reply would come too.
        Answer(body=chat_completion(REPLY), drip_seconds=0.01),
    ],
)
def test_call_that_takes_too_long_is_unavailable(server: CompatibleServer, answer: Answer) -> None:
    error = fault(server, answer, timeout_seconds=0.3)
    assert isinstance(error, ProviderUnavailable)
    assert "0.3 s" in str(error)


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://host/v1", "http://"])
def test_writer_with_an_address_that_is_no_url_is_refused(url: str) -> None:
    config = OpenAICompatible(base_url=url, model="m")
    with pytest.raises(ConfigurationError, match="base_url"):
        CompatibleWriter(config, api_key=None, timeout_seconds=1)
