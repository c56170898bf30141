"""How each port's replies are stored in the ledger, priced, and reserved in the budget."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from liftwright.calls.pricing import pricing_of
from liftwright.model import (
    Completion,
    Finding,
    Judgment,
    Passage,
    Tokens,
    Usage,
    from_json,
    text_records,
    to_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.config import Services
    from liftwright.model import JudgeRequest, Prompt
    from liftwright.ports import Complete, Embed, Judge, Port, Screen, Search, Shield, Vectors

R = TypeVar("R")
_LEAST_BYTES_PER_TOKEN, _USUAL_BYTES_PER_TOKEN = 2, 4
_LONGEST_PIECE = 10_000  # characters that a screener takes at once


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy(Generic[R]):
    """How the replies of one port are stored and priced.

    Attributes:
        port: the port's name.
        reserve_usd: the maximum cost of one attempt at a request.
        price_usd: the price of a usage.
        decode: a reply from JSON values; `encode` is the inverse.
        used: the usage of a request and its reply, if the adapter reports none.
        cost_usd: the cost that such a reply states; if it is 0, the price of `used` applies.
        tokens: the estimated tokens of an attempt, including the reply, for limits per minute.
    """

    port: str
    reserve_usd: Callable[[Any], float]
    price_usd: Callable[[Usage], float]
    decode: Callable[[object], R]
    encode: Callable[[R], object] = to_json
    used: Callable[[Any, R], Usage] = lambda _, __: Usage()
    cost_usd: Callable[[R], float] = lambda _: 0.0
    tokens: Callable[[Any], int] = lambda _: 0


def complete_policy(services: Services, port: Complete) -> CachePolicy[Completion]:
    """The policy of a writer: a draft costs at most its prompt and the longest reply."""
    pricing = pricing_of("complete", port, services)
    longest = longest_reply(port) or 0

    def most(request: Prompt) -> Usage:
        # A token usually has four bytes; the reply releases what was reserved in excess.
        prompt = -(-len(request.text.encode()) // _LEAST_BYTES_PER_TOKEN)
        return Usage(tokens=Tokens(input=prompt, output=longest))

    return CachePolicy(
        port="complete",
        reserve_usd=lambda request: pricing.usd(most(request)),
        price_usd=pricing.usd,
        decode=lambda value: from_json(Completion, value),
        used=lambda _, reply: Usage(tokens=reply.tokens),
        cost_usd=lambda reply: reply.cost_usd,
        tokens=lambda request: longest + _usual_tokens(request.text),
    )


def longest_reply(port: Port) -> int | None:
    """The maximum number of tokens in a writer's reply, from its `max_output_tokens`."""
    tokens = getattr(port, "max_output_tokens", None)
    return tokens if isinstance(tokens, int) else None


def embed_policy(services: Services, port: Embed) -> CachePolicy[Vectors]:
    """The policy of an embedder: a request has several texts, whose vectors are stored singly."""
    pricing = pricing_of("embed", port, services)

    def most(texts: tuple[str, ...]) -> Usage:
        # No token is shorter than a byte.
        longest = sum(len(text.encode("utf-8", "replace")) + 1 for text in texts)
        return Usage(tokens=Tokens(input=longest))

    return CachePolicy(
        port="embed",
        reserve_usd=lambda texts: pricing.usd(most(texts)),
        price_usd=pricing.usd,
        decode=_vector,
        encode=lambda vector: base64.b64encode(vector.astype("<f4").tobytes()).decode(),
        tokens=lambda texts: sum(map(_usual_tokens, texts)),
    )


def search_policy(services: Services, port: Search) -> CachePolicy[tuple[Passage, ...]]:
    """The policy of a search: a request makes one query, or up to its `most_queries`."""
    pricing = pricing_of("search", port, services)
    usage = Usage(units=1 if pricing.charged else 0)
    most = getattr(port, "most_queries", 1)
    return CachePolicy(
        port="search",
        reserve_usd=lambda _: most * pricing.usd(usage),
        price_usd=pricing.usd,
        decode=lambda value: _records(Passage, value),
        used=lambda _, __: usage,
    )


def screen_policy(services: Services, port: Screen) -> CachePolicy[tuple[Finding, ...]]:
    """The policy of a screener: billed by the text's records."""
    return _by_records("screen", services, port, lambda value: _records(Finding, value))


def shield_policy(services: Services, port: Shield) -> CachePolicy[bool]:
    """The policy of a shield: billed by the document's records."""
    return _by_records("shield", services, port, _flag)


def judge_policy(services: Services, port: Judge) -> CachePolicy[Judgment]:
    """The policy of a judge: billed by the records of text and sources together."""

    def whole(request: JudgeRequest) -> str:
        return "".join([request.text, *request.sources])

    return _by_records("judge", services, port, partial(from_json, Judgment), text=whole)


def _by_records(
    name: str,
    services: Services,
    port: Port,
    decode: Callable[[object], R],
    *,
    text: Callable[[Any], str] = str,
) -> CachePolicy[R]:
    pricing = pricing_of(name, port, services)

    def used(request: object) -> Usage:
        return Usage(units=text_records(text(request)))

    def reserve_usd(request: object) -> float:
        # A long text is sent in overlapping pieces, and each piece starts a new record.
        return (2 if len(text(request)) > _LONGEST_PIECE else 1) * pricing.usd(used(request))

    return CachePolicy(
        port=name,
        reserve_usd=reserve_usd,
        price_usd=pricing.usd,
        decode=decode,
        used=lambda request, _: used(request),
    )


def _usual_tokens(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // _USUAL_BYTES_PER_TOKEN


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return value


def _vector(value: object) -> Vectors:
    import numpy as np

    if not isinstance(value, str):
        raise ValueError(f"text expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")


def _records(kind: type[R], value: object) -> tuple[R, ...]:
    if not isinstance(value, list):
        raise ValueError(f"a list expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return tuple(from_json(kind, item) for item in value)
