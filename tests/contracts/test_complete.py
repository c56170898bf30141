"""The contract of the port `complete`: whoever writes the messages.

A new adapter joins by one line in `ADAPTERS`, and a rig that says how it is made and how it fails.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
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
    check_frozen,
    check_identity,
    check_meter,
    in_threads,
    wire_faults,
)
from liftwright.adapters.azure import AzureOpenAI
from liftwright.adapters.azure.openai import AzureOpenAIComplete
from liftwright.adapters.embedded.composer import EmbeddedComposer
from liftwright.adapters.openai import OpenAICompatible
from liftwright.adapters.openai.compatible import CompatibleWriter
from liftwright.config import Price
from liftwright.errors import ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.model import Completion, Prompt
from writing_samples import FRAMES, LIMITS, PASSAGES, SEGMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compatible_server import Request

KEY = "sk-canary-5f1d"
PRICE = Price.model_validate(
    {
        "input_usd_per_million": 1.0,
        "cached_input_usd_per_million": 0.1,
        "output_usd_per_million": 4.0,
        "as_of": "2026-11-01",
    }
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


DATED = "2025-04-01-preview"
ADAPTERS = {
    "embedded": composer,
    "openai_compatible": openai_compatible,
    "azure v1 key": azure(None, token=False),
    "azure v1 token": azure(None, token=True),
    "azure dated key": azure(DATED, token=False),
    "azure dated token": azure(DATED, token=True),
}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from request.param()


def test_identity_is_stable_and_changes_with_what_changes_the_reply(rig: Rig) -> None:
    check_identity(rig)


def test_identity_is_not_changed_by_calls(rig: Rig) -> None:
    write = rig.make()
    before = write.identity
    write(prompt())
    assert write.identity == before


def test_metered_says_whether_calls_cost_or_leave_the_machine(rig: Rig) -> None:
    check_meter(rig)


def test_call_gives_one_frozen_completion_that_holds_subject_and_body(rig: Rig) -> None:
    reply = rig.make()(prompt())
    assert isinstance(reply, Completion)
    check_frozen(reply)
    message = json.loads(reply.text)
    assert message["subject"].strip()
    assert message["body"].strip()
    assert reply.model


def test_call_reports_tokens_and_cost_in_range(rig: Rig) -> None:
    reply = rig.make()(prompt())
    tokens = reply.tokens
    assert 0 <= tokens.cached_input <= tokens.input
    assert tokens.output >= 0
    assert math.isfinite(reply.cost_usd)
    assert (reply.cost_usd > 0) is rig.metered, "paid calls cost something, free ones nothing"


def test_call_makes_one_attempt_and_no_more(rig: Rig) -> None:
    write = rig.make()
    before = rig.calls() if rig.calls else 0
    write(prompt())
    assert rig.calls is None or rig.calls() - before == 1


def test_call_with_feedback_is_answered_too(rig: Rig) -> None:
    reply = rig.make()(prompt(feedback=("the body has 12 words; allowed: 150 to 200",)))
    assert json.loads(reply.text)["body"]


def test_call_from_threads_gives_what_single_calls_give(rig: Rig) -> None:
    write = rig.make()
    requests = [
        prompt(tone, text=f"{tone} {turn}")
        for turn in range(4)
        for tone in ("urgent", "informational", "friendly")
    ]
    alone = [write(one).text for one in requests]
    assert [reply.text for reply in in_threads(write, requests)] == alone


def test_call_that_fails_raises_a_provider_error_in_our_words(rig: Rig) -> None:
    check_faults(rig, prompt(), "CANARY-PROMPT")


@pytest.mark.parametrize("text", [*ODD_TEXTS.values()][1:], ids=[*ODD_TEXTS][1:])
def test_call_with_odd_text_is_answered(rig: Rig, text: str) -> None:
    assert json.loads(rig.make()(prompt(text=f"{text} CANARY-PROMPT")).text)["body"]


# A language model promises no such thing: there the ledger keeps the first draft.
@pytest.mark.parametrize("rig", [composer], ids=["embedded"], indirect=True)
def test_call_again_gives_the_same_draft(rig: Rig) -> None:
    assert rig.make()(prompt()) == rig.make()(prompt())


def test_call_after_a_failure_is_answered(rig: Rig) -> None:
    for name, fault in rig.faults.items():
        with pytest.raises(ProviderError):
            fault.arrange()(prompt())
        assert rig.make()(prompt()).text, name


def test_repr_shows_no_secret(rig: Rig) -> None:
    write = rig.make()
    assert not rig.secret or rig.secret not in f"{write!r} {vars(write)!r} {write.identity!r}"
