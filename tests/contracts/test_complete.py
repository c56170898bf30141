"""The contract of the port `complete`, which writes the messages.

A new adapter joins with a line in `ADAPTERS` and a rig: how to make it, and how it fails.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from azure_server.fixtures import served
from azure_server.openai import KEY as AZURE_KEY
from azure_server.openai import TOKEN, OpenAIService
from compatible_server import Answer, CompatibleServer, chat_completion, failure
from contracts.promises import (
    ODD_TEXTS,
    Fault,
    Rig,
    check_faults,
    check_port,
    in_threads,
    wire_faults,
)
from liftwright.adapters.azure import AzureOpenAI
from liftwright.adapters.azure.openai import AzureOpenAIComplete
from liftwright.adapters.embedded.composer import EmbeddedComposer
from liftwright.adapters.openai import OpenAICompatible
from liftwright.adapters.openai.compatible import CompatibleWriter
from liftwright.config import Price
from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.model import Prompt
from writing_samples import FRAMES, LIMITS, PASSAGES, SEGMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compatible_server import Request

KEY = "sk-canary-5f1d"
PRICE = Price(
    input_usd_per_million=1.0,
    cached_input_usd_per_million=0.1,
    output_usd_per_million=4.0,
    as_of=date(2026, 11, 1),
)


def prompt(tone: str = "friendly", **changes: object) -> Prompt:
    made = Prompt(
        text=f"CANARY-PROMPT for {tone}",
        brand="Hollow Pine 47",
        segment=SEGMENT,
        tone=tone,
        passages=PASSAGES,
        limits=LIMITS,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def composer() -> Iterator[Rig]:
    changed = FRAMES["friendly"].model_copy(update={"greetings": ("Good day,",)})
    yield Rig(
        make=lambda: EmbeddedComposer(FRAMES),
        others={
            "frames": lambda: EmbeddedComposer({**FRAMES, "friendly": changed}),
            "tones": lambda: EmbeddedComposer({"friendly": FRAMES["friendly"]}),
        },
        faults={
            "no frames for the tone": Fault(
                arrange=lambda: EmbeddedComposer({"urgent": FRAMES["urgent"]}),
                error=ProviderRefused,
            )
        },
    )


def openai_compatible() -> Iterator[Rig]:
    with CompatibleServer().running() as server:
        server.otherwise = _echo

        def make(**changes: object) -> CompatibleWriter:
            values = {"base_url": server.url, "model": "small", **changes}
            return CompatibleWriter(
                OpenAICompatible.model_validate(values),
                api_key=KEY,
                timeout_seconds=60,
                price=PRICE,
            )

        def failing(answer: Answer) -> Callable[[], CompatibleWriter]:
            def arrange() -> CompatibleWriter:
                server.script.append(answer)
                return make(structured_output=False)

            return arrange

        answers = {
            **{
                str(status): (failure(status), ProviderUnavailable)
                for status in (408, 409, 429, 500, 502, 503, 504, 529)
            },
            **{
                str(status): (failure(status), ProviderRefused)
                for status in (400, 401, 403, 404, 413, 422)
            },
            "spent quota": (failure(429, "insufficient_quota"), ProviderRefused),
            "broken reply": (Answer(body=b'{"choices": [{"mess'), ProviderUnavailable),
            "lost connection": (
                Answer(body=chat_completion("{}"), cut_after=20),
                ProviderUnavailable,
            ),
            "content filter": (failure(400, "content_filter"), ProviderRefused),
        }
        yield Rig(
            make=make,
            others={
                "model": lambda: make(model="large"),
                "temperature": lambda: make(temperature=None),
                "length": lambda: make(max_output_tokens=64),
                "server": lambda: make(base_url="http://127.0.0.1:9/v1"),
            },
            metered=True,
            faults={
                name: Fault(arrange=failing(answer), error=error)
                for name, (answer, error) in answers.items()
            },
            calls=lambda: len(server.requests),
            secret=KEY,
        )


def _echo(request: Request) -> Answer:
    return Answer(body=chat_completion(_answer(request.prompt)))


def _answer(text: str) -> str:
    return json.dumps({"subject": "A subject", "body": f"Answer to: {text[-40:]}"})


def azure(api_version: str | None, *, token: bool) -> Callable[[], Iterator[Rig]]:
    """Azure OpenAI in one form of its endpoint, by key or by token."""

    def rigs() -> Iterator[Rig]:
        with served(OpenAIService(write=_answer)) as server:

            def make(*, seconds: float = 60, **changes: object) -> AzureOpenAIComplete:
                values = {
                    "endpoint": server.url,
                    "deployment": "thinker",
                    "model": "gpt-5-mini",
                    "api_version": api_version,
                    **changes,
                }
                return AzureOpenAIComplete(
                    AzureOpenAI.model_validate(values),
                    api_key=None if token else AZURE_KEY,
                    token_provider=(lambda: TOKEN) if token else None,
                    price=PRICE,
                    timeout_seconds=seconds,
                )

            yield Rig(
                make=make,
                others={
                    "deployment": lambda: make(deployment="writer"),
                    "length": lambda: make(max_output_tokens=64),
                    "temperature": lambda: make(reasoning=False, temperature=0.5),
                    "version": lambda: make(api_version="2025-03-01-preview"),
                    "resource": lambda: make(endpoint="https://other.openai.azure.com"),
                },
                metered=True,
                faults=wire_faults(server, "/openai/", make),
                calls=lambda: len(server.requests),
                secret=TOKEN if token else AZURE_KEY,
            )

    return rigs


ADAPTERS = {
    "embedded": composer,
    "openai_compatible": openai_compatible,
    "azure v1 key": azure(None, token=False),
    "azure dated token": azure("2025-04-01-preview", token=True),
}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from request.param()


def test_port_has_a_stable_identity_and_shows_no_secret(rig: Rig) -> None:
    check_port(rig)


def test_call_gives_subject_body_tokens_and_cost_after_one_attempt(rig: Rig) -> None:
    write, before = rig.make(), rig.calls() if rig.calls else 0
    identity, reply = write.identity, write(prompt())
    message = json.loads(reply.text)
    assert message["subject"].strip()
    assert message["body"].strip()
    assert reply.model
    assert 0 <= reply.tokens.cached_input <= reply.tokens.input
    assert reply.tokens.output >= 0
    assert math.isfinite(reply.cost_usd)
    assert (reply.cost_usd > 0) is rig.metered, "paid calls cost something, free ones nothing"
    assert rig.calls is None or rig.calls() - before == 1
    assert write.identity == identity


def test_call_with_feedback_is_answered_too(rig: Rig) -> None:
    reply = rig.make()(prompt(feedback=("the body has 12 words; allowed: 150 to 200",)))
    assert json.loads(reply.text)["body"]


def test_call_from_threads_gives_what_single_calls_give(rig: Rig) -> None:
    write = rig.make()
    tones = ("urgent", "informational", "friendly") * 4
    requests = [prompt(tone, text=f"{tone} {number}") for number, tone in enumerate(tones)]
    alone = [write(one).text for one in requests]
    assert [reply.text for reply in in_threads(write, requests)] == alone


def test_call_that_fails_raises_a_provider_error_in_our_words(rig: Rig) -> None:
    check_faults(rig, prompt(), "CANARY-PROMPT")


def test_call_with_odd_text_is_answered(rig: Rig) -> None:
    write = rig.make()
    for name, text in ODD_TEXTS.items():
        assert json.loads(write(prompt(text=f"{text} CANARY-PROMPT")).text)["body"], name


# A language model does not promise this: the ledger keeps its first draft.
@pytest.mark.parametrize("rig", [composer], ids=["embedded"], indirect=True)
def test_call_again_gives_the_same_draft(rig: Rig) -> None:
    assert rig.make()(prompt()) == rig.make()(prompt())
