"""How the replies of each port are kept, what they cost, and what a request reserves."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, TypeVar

from liftwright.calls.ledger import Terms
from liftwright.calls.pricing import tariff_of
from liftwright.model import (
    Completion,
    Finding,
    Opinion,
    Passage,
    Prompt,
    Sourced,
    Tokens,
    Usage,
    from_json,
    to_json,
)
from liftwright.usage import text_records

if TYPE_CHECKING:
    from liftwright.config import Services
    from liftwright.ports import Complete, Embed, Judge, Screen, Search, Shield, Vectors

T = TypeVar("T")
_LEAST_BYTES_PER_TOKEN, _USUAL_BYTES_PER_TOKEN = 2, 4
_LONGEST_PIECE = 10_000  # characters that a screener takes at once


def complete_terms(services: Services, port: Complete) -> Terms[Completion]:
    """A writer's terms: the most a draft can cost is its prompt and the longest reply.

    The price is that of the model which the writer's identity names. A writer says by an attribute
    `max_output_tokens` how long a reply can be; without it, replies reserve nothing.
    """
    tariff = tariff_of("complete", port, services)
    longest = longest_reply(port) or 0

    def reserve_usd(request: object) -> float:
        if not isinstance(request, Prompt):
            return 0.0
        # Four bytes to a token are usual; what is reserved too much comes back with the reply.
        most_input = -(-len(request.text.encode()) // _LEAST_BYTES_PER_TOKEN)
        return tariff.usd(Usage(tokens=Tokens(input=most_input, output=longest)))

    return Terms(
        port="complete",
        reserve_usd=reserve_usd,
        tokens=lambda request: longest + _usual_tokens(request),
        cost_usd=lambda reply: reply.cost_usd,
        encode=to_json,
        decode=lambda value: from_json(Completion, value),
        used=lambda _, reply: Usage(tokens=reply.tokens),
        price_usd=tariff.usd,
    )


def longest_reply(port: Complete) -> int | None:
    """The most tokens that a writer's reply can have; None where it does not say."""
    tokens = getattr(port, "max_output_tokens", None)
    return tokens if isinstance(tokens, int) else None


def embed_terms(services: Services, port: Embed) -> Terms[Vectors]:
    """An embedder's terms, for one text: no token is less than a byte."""
    tariff = tariff_of("embed", port, services)
    return Terms(
        port="embed",
        reserve_usd=lambda text: tariff.usd(
            Usage(tokens=Tokens(input=len(str(text).encode("utf-8", "replace")) + 1))
        ),
        cost_usd=_free,
        encode=lambda vector: base64.b64encode(vector.astype("<f4").tobytes()).decode(),
        decode=_vector,
        price_usd=tariff.usd,
        tokens=_usual_tokens,
    )


def screen_terms(services: Services, port: Screen) -> Terms[tuple[Finding, ...]]:
    """A screener's terms: a text is charged by its records."""
    tariff = tariff_of("screen", port, services)
    return Terms(
        port="screen",
        reserve_usd=lambda request: _pieces(request) * tariff.usd(_records_of(request)),
        cost_usd=_free,
        encode=to_json,
        decode=lambda value: _records(Finding, value),
        used=lambda request, _: _records_of(request),
        price_usd=tariff.usd,
    )


def search_terms(services: Services, port: Search) -> Terms[tuple[Passage, ...]]:
    """A search's terms: a question is one query, unless the adapter tells of more.

    One that can make more of a question says by an attribute `most_queries` how many at most.
    """
    tariff = tariff_of("search", port, services)
    query = Usage(units=1 if tariff.charged else 0)
    most = getattr(port, "most_queries", 1)
    return Terms(
        port="search",
        reserve_usd=lambda _: most * tariff.usd(query),
        cost_usd=_free,
        encode=to_json,
        decode=lambda value: _records(Passage, value),
        used=lambda _, __: query,
        price_usd=tariff.usd,
    )


def shield_terms(services: Services, port: Shield) -> Terms[bool]:
    """The terms of who looks for attacks in documents: a text is charged by its records."""
    tariff = tariff_of("shield", port, services)
    return Terms(
        port="shield",
        reserve_usd=lambda request: _pieces(request) * tariff.usd(_records_of(request)),
        cost_usd=_free,
        encode=to_json,
        decode=_flag,
        used=lambda request, _: _records_of(request),
        price_usd=tariff.usd,
    )


def judge_terms(services: Services, port: Judge) -> Terms[Opinion]:
    """The terms of who gives a second opinion: text and sources are charged by their records."""
    tariff = tariff_of("judge", port, services)

    def whole(request: object) -> str:
        return "".join([request.text, *request.sources]) if isinstance(request, Sourced) else ""

    return Terms(
        port="judge",
        reserve_usd=lambda request: (
            _pieces(whole(request)) * tariff.usd(_records_of(whole(request)))
        ),
        cost_usd=_free,
        encode=to_json,
        decode=lambda value: from_json(Opinion, value),
        used=lambda request, _: _records_of(whole(request)),
        price_usd=tariff.usd,
    )


def _records_of(request: object) -> Usage:
    return Usage(units=text_records(request)) if isinstance(request, str) else Usage()


def _pieces(request: object) -> int:
    """By how much a text's records can multiply.

    A long text goes out in pieces, each of which begins a record and repeats some words.
    """
    return 2 if isinstance(request, str) and len(request) > _LONGEST_PIECE else 1


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return value


def _usual_tokens(request: object) -> int:
    text = request.text if isinstance(request, Prompt) else str(request)
    return len(text.encode("utf-8", "replace")) // _USUAL_BYTES_PER_TOKEN


def _free(_: object) -> float:
    return 0.0


def _vector(value: object) -> Vectors:
    import numpy as np

    if not isinstance(value, str):
        raise ValueError(f"text expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")


def _records(kind: type[T], value: object) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise ValueError(f"a list expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return tuple(from_json(kind, item) for item in value)
