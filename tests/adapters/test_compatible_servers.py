"""How servers with the OpenAI wire format differ, in the shapes of docs/configuration.md."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from compatible_server import Answer, CompatibleServer, chat_completion, failure
from liftwright.adapters.openai import OpenAICompatible
from liftwright.adapters.openai.compatible import CompatibleWriter
from liftwright.agents.generation.format_checks import read_reply
from liftwright.errors import ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.model import Tokens
from writing_samples import BARE_PROMPT as PROMPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compatible_server import Request

REPLY = '{"subject": "Hello", "body": "Visit us."}'
SKETCH = '{"subject": "x", "body": "y"}'
FENCED = f"Here is the message:\n\n```json\n{REPLY}\n```"


def stream(text: str, usage: object = None, *, ends: bool = True) -> bytes:
    """The same reply as an event stream, in pieces of seven characters."""
    deltas = [{"delta": {"content": text[at : at + 7]}} for at in range(0, len(text), 7)]
    chunks: list[dict[str, object]] = [{"choices": [delta]} for delta in deltas]
    lines = [json.dumps(chunk) for chunk in (*chunks, {"choices": [], "usage": usage})]
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] * ends)]).encode()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A server: its text, further fields of its answers, and how it refuses a schema."""

    says: str = REPLY
    beside: dict[str, Any] = field(default_factory=dict)
    in_message: dict[str, Any] = field(default_factory=dict)
    no_schema: Answer = field(default_factory=lambda: failure(400))
    stream: bool = False

    def answer(self) -> Answer:
        body = chat_completion(self.says)
        if self.stream:
            return Answer(body=stream(self.says, body["usage"]))
        body |= self.beside
        choices: Any = body["choices"]
        choices[0]["message"] |= self.in_message
        return Answer(body=body)


SERVERS = {
    "ollama": Kind(
        beside={"system_fingerprint": "fp_ollama"},
        in_message={"reasoning": "They sell boots, so …"},
    ),
    "ollama, schema taken and not kept to": Kind(says=FENCED),
    "vllm": Kind(
        beside={"prompt_logprobs": None, "kv_transfer_params": None, "service_tier": None},
        in_message={"reasoning_content": None, "tool_calls": []},
        no_schema=Answer(status=400, body={"object": "error", "message": "x", "code": 400}),
    ),
    "vllm without a reasoning parser": Kind(says=f"They sell boots, so …\n</think>\n\n{REPLY}"),
    "llama.cpp": Kind(
        beside={"timings": {"prompt_n": 20, "predicted_per_second": 31.2}},
        in_message={"reasoning_content": "They sell boots, so …"},
        no_schema=Answer(
            status=400,
            body={"error": {"code": 400, "message": "x", "type": "invalid_request_error"}},
        ),
    ),
    "lm studio": Kind(
        beside={"stats": {}, "system_fingerprint": "small"},
        no_schema=Answer(status=400, body={"error": "'response_format.type' must be 'text'"}),
    ),
    "a model that thinks aloud": Kind(says=f"<think>\n{{}} or []?\n</think>\n{FENCED}"),
    "a model that sketches": Kind(says=f"<thinking>{SKETCH}</thinking>\n{REPLY}"),
    "a model with thoughts in brackets": Kind(says=f"[THINK]{SKETCH}[/THINK]{REPLY}"),
    "a model that revises": Kind(says=f"First: {SKETCH}. Better: {REPLY[:-1]},}} Done."),
    "harmony": Kind(
        says=f"<|channel|>analysis<|message|>{SKETCH}<|end|><|start|>assistant<|channel|>final"
        f" <|constrain|>json<|message|>{REPLY}<|return|>"
    ),
    "parts": Kind(
        in_message={
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": SKETCH}]},
                {"type": "text", "text": REPLY[:9]},
                {"type": "text", "text": REPLY[9:]},
            ]
        }
    ),
    "event stream": Kind(stream=True),
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS)
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


@pytest.fixture
def server(kind: Kind) -> Iterator[CompatibleServer]:
    def answer(request: Request) -> Answer:
        # No server needs to serve more of the wire format.
        return kind.answer() if request.path == "/v1/chat/completions" else failure(404)

    with CompatibleServer().running() as running:
        running.otherwise = answer
        yield running


def writer(server: CompatibleServer, **options: object) -> CompatibleWriter:
    values = {"base_url": server.url, "model": "small", **options}
    config = OpenAICompatible.model_validate(values)
    return CompatibleWriter(config, api_key=None, timeout_seconds=60)


def test_call_gives_the_message_whatever_stands_around_it(server: CompatibleServer) -> None:
    reply = writer(server)(PROMPT)
    assert read_reply(reply.text) == ("Hello", "Visit us.")
    assert reply.tokens == Tokens(input=1000, output=200)
    assert [request.path for request in server.requests] == ["/v1/chat/completions"]


def test_call_of_a_server_without_schemas_asks_in_words_and_remembers(
    server: CompatibleServer, kind: Kind
) -> None:
    server.script.append(kind.no_schema)
    ask = writer(server)
    assert [read_reply(ask(PROMPT).text) for _ in range(2)] == [("Hello", "Visit us.")] * 2
    asked = ["response_format" in request.body for request in server.requests]
    assert asked == [True, False, False]


@pytest.mark.parametrize("kind", [SERVERS["ollama"]], ids=["ollama"])
@pytest.mark.parametrize(
    ("finish", "error"), [("stop", ProviderUnavailable), ("length", ProviderRefused)]
)
def test_call_of_a_model_that_only_thought_gives_no_empty_draft(
    server: CompatibleServer, finish: str, error: type[Exception]
) -> None:
    for says in ("", "<think>They sell boots</think>"):
        server.script.append(Answer(body=chat_completion(says, finish_reason=finish)))
        with pytest.raises(error):
            writer(server)(PROMPT)


def refused(parameter: str | None, message: str = "") -> Answer:
    error = {"message": message, "param": parameter, "code": "unsupported_value"}
    return Answer(status=400, body={"error": error})


@pytest.mark.parametrize("kind", [SERVERS["ollama"]], ids=["ollama"])
@pytest.mark.parametrize(
    ("refusals", "changed"),
    [
        ([refused("max_tokens")], {"max_completion_tokens", "temperature", "response_format"}),
        ([refused(None, "use of 'temperature'")], {"max_tokens", "response_format"}),
        ([refused("response_format.json_schema")], {"max_tokens", "temperature"}),
        (
            [refused("temperature"), refused("max_tokens"), failure(422)],
            {"max_completion_tokens"},
        ),
    ],
    ids=["renamed", "in words", "a path", "several"],
)
def test_call_leaves_out_what_the_server_refuses_and_remembers_it(
    server: CompatibleServer, refusals: list[Answer], changed: set[str]
) -> None:
    server.script += refusals
    ask = writer(server)
    assert [read_reply(ask(PROMPT).text) for _ in range(2)] == [("Hello", "Visit us.")] * 2
    sent = [set(request.body) - {"model", "messages"} for request in server.requests]
    assert sent[0] == {"max_tokens", "temperature", "response_format"}
    assert sent[-2:] == [changed] * 2
    assert len(sent) == len(refusals) + 2


@pytest.mark.parametrize("kind", [SERVERS["ollama"]], ids=["ollama"])
@pytest.mark.parametrize(
    ("refusals", "named"),
    [
        ([refused("messages")], "messages"),
        ([refused("max_tokens"), refused("max_completion_tokens")], "max_completion_tokens"),
        ([failure(400, "no_schema_perhaps"), refused("temperature")], "no_schema_perhaps"),
        ([Answer(body={"error": {"message": "x", "code": 502}})], "502"),
        ([Answer(body=stream(REPLY, ends=False))], "cut off"),
    ],
    ids=["another parameter", "both names", "not the guess", "error with 200", "cut stream"],
)
def test_call_that_is_refused_names_the_parameter_or_code(
    server: CompatibleServer, refusals: list[Answer], named: str
) -> None:
    server.script += refusals
    ask = writer(server)
    with pytest.raises(ProviderError, match=named):
        ask(PROMPT)
    assert len(server.requests) == len(refusals)
    ask(PROMPT)
    assert {"max_tokens", "temperature", "response_format"} <= set(server.requests[-1].body)
