"""Estimates the calls of a run before it: how many to each service, and what they use and cost.

Calls that can be counted are counted; how much text a call holds is estimated from the channel's
limits, four characters to a token. What is replayed from the ledger, as in a resumed run,
costs nothing and is not taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003 - a field's type, kept importable for readers
from typing import TYPE_CHECKING

from liftwright.agents import generation
from liftwright.agents.retrieval.shield import shielded_text
from liftwright.agents.safety.message_parts import parts_of
from liftwright.calls.cache_policy import longest_reply
from liftwright.calls.pricing import FREE, Pricing, pricing_by_port
from liftwright.model import Tokens, Usage, text_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.campaign.context import RunContext
    from liftwright.config import Settings
    from liftwright.model import Segment

_CHARACTERS_PER_TOKEN = 4
_CHARACTERS_PER_WORD = 6
_PASSAGE_WORDS = 120
_READERS_CHARACTERS = 800  # a segment's description and features in the prompt
_QUERY_CHARACTERS = 300  # a segment's interests, audience and features as a query
_LONGEST_PROMPT = 3  # times a usual one: passages of 200 words, few characters a token, corrections
_INDEX_BATCH = 100
# Beside its sentences, a message is screened by its subject, as a whole, and as it is read.
_WHOLE_PARTS = 3
_SENTENCE_WORDS, _SHORT_SENTENCE_WORDS = 12, 4
_INDEXED = 2  # once in its own stage, and again before the search, which finds it whole
_QUESTIONS = 2  # a segment's own query, and a wider one where it found too little


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCalls:
    """The expected and the maximum number of calls to one port.

    Attributes:
        at_most: `screen` counts messages of short sentences; a draft asked for again is counted.
        input_tokens, output_tokens: expected, where the service counts tokens.
        units: expected, where it counts something else, and what: `unit`.
        price_as_of: the day of the price; None where there is none, or nothing is charged.
        unpriced: where in azure_config.yaml a price is missing; its calls count as 0 USD.
    """

    port: str
    adapter: str
    metered: bool
    expected: int
    at_most: int
    input_tokens: int = 0
    output_tokens: int = 0
    units: int = 0
    unit: str | None = None
    expected_usd: float = 0.0
    at_most_usd: float = 0.0
    price_as_of: date | None = None
    unpriced: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """Calls to one port, and what all of them use."""

    expected: int
    at_most: int
    usage: Usage = Usage()  # noqa: RUF009 - frozen
    most_usage: Usage = Usage()  # noqa: RUF009 - frozen


def planned_calls(context: RunContext, segments: Sequence[Segment]) -> tuple[PlannedCalls, ...]:
    """The calls that a run on these segments would make, by port; makes none.

    An embedder on this machine is left out: it is asked too often and too cheaply to be counted.
    """
    ports, settings = context.ports, context.settings
    names = settings.services.adapters
    variants = len(segments) * len(settings.experiment.tones)
    counted: dict[str, tuple[str, bool, _Counted]] = {
        "complete": (names.complete, ports.complete.metered, _complete(context, variants)),
    }
    if ports.embed.metered:
        counted["embed"] = (names.embed, True, _embed(context, len(segments), variants))
    counted |= {
        "index": (names.search, ports.index.metered, _Counted(expected=_INDEXED, at_most=_INDEXED)),
        "search": (names.search, ports.index.metered, _search(context, len(segments))),
        "screen": (names.screen, ports.screen.metered, _screen(context, variants)),
    }
    if ports.shield:
        provider = ports.shield.identity.provider
        counted["shield"] = (provider, ports.shield.metered, _shield(context))
    if ports.judge:
        provider = ports.judge.identity.provider
        counted["judge"] = (provider, ports.judge.metered, _judge(settings, variants))
    known = pricing_by_port(ports, settings.services)
    return tuple(
        _planned(port, adapter, calls, known[port], metered=metered)
        for port, (adapter, metered, calls) in counted.items()
    )


def unpriced(calls: Sequence[PlannedCalls]) -> Iterator[str]:
    """A warning for each service that charges at a price which is not configured."""
    for one in calls:
        if one.unpriced is not None:
            yield (
                f"{one.port}: no price at {one.unpriced} in azure_config.yaml; "
                "its calls count as 0 USD"
            )


def _planned(
    port: str, adapter: str, calls: _Counted, pricing: Pricing, *, metered: bool
) -> PlannedCalls:
    tokens = calls.usage.tokens if metered else Tokens()
    price = pricing.price if pricing.charged else None
    return PlannedCalls(
        port=port,
        adapter=adapter,
        metered=metered,
        expected=calls.expected,
        at_most=calls.at_most,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        units=calls.usage.units if pricing.charged else 0,
        unit=pricing.unit if pricing.charged else None,
        expected_usd=round(pricing.usd(calls.usage), 6),
        at_most_usd=round(pricing.usd(calls.most_usage), 6),
        price_as_of=price.as_of if price else None,
        unpriced=pricing.key if pricing.missing and pricing is not FREE else None,
    )


def _complete(context: RunContext, variants: int) -> _Counted:
    prompt, reply = _tokens(context.settings)
    drafts = variants * (1 + context.settings.experiment.generation.max_redrafts)
    # A long prompt, its corrections included, and the longest reply that is let through.
    longest = Tokens(
        input=drafts * prompt * _LONGEST_PROMPT,
        output=drafts * (longest_reply(context.ports.complete) or reply),
    )
    return _Counted(
        expected=variants,
        at_most=drafts,
        usage=Usage(tokens=Tokens(input=variants * prompt, output=variants * reply)),
        most_usage=Usage(tokens=longest),
    )


def _embed(context: RunContext, segments: int, variants: int) -> _Counted:
    """Vectors of the corpus, of the queries, and of drafts and passages to ground them by."""
    settings = context.settings
    vectors = getattr(context.ports.index, "uses_vectors", True)
    texts = [
        f"{document.title} {paragraph.section} {paragraph.text}"
        for document in (context.corpus.documents if vectors else ())
        for paragraph in document.paragraphs()
    ]
    indexing = -(-len(texts) // _INDEX_BATCH)
    redrafts = variants * settings.experiment.generation.max_redrafts
    asking = segments if vectors else 0
    passages = segments * settings.experiment.retrieval.top_k * _PASSAGE_WORDS
    _, reply = _tokens(settings)
    tokens = (
        sum(map(len, texts)) + asking * _QUERY_CHARACTERS + passages * _CHARACTERS_PER_WORD
    ) // _CHARACTERS_PER_TOKEN + variants * reply
    most = _LONGEST_PROMPT * (tokens + redrafts * reply)
    expected = indexing + asking + 1 + variants
    return _Counted(
        expected=expected,
        at_most=expected + asking + redrafts,
        usage=Usage(tokens=Tokens(input=tokens)),
        most_usage=Usage(tokens=Tokens(input=most)),
    )


def _search(context: RunContext, segments: int) -> _Counted:
    deepest = 1
    if context.ports.index.metered:
        deepest = getattr(context.ports.search("plan"), "most_queries", 1)
    return _Counted(
        expected=segments,
        at_most=segments * _QUESTIONS,
        usage=Usage(units=segments),
        most_usage=Usage(units=segments * _QUESTIONS * deepest),
    )


def _screen(context: RunContext, variants: int) -> _Counted:
    """Parts of the messages, each of them a call; a screener that takes many is called once."""
    settings, screen = context.settings, context.ports.screen
    limits = generation.message_limits(settings.channel.variant)
    control = generation.control_variant(
        settings.prompts["control_message"],
        brand=settings.experiment.brand,
        limits=generation.message_limits(settings.channel.control),
    )
    texts = [control.subject, *(part.text for part in parts_of(control.body, "body"))]
    words = (limits.body_min_words + limits.body_max_words) // 2
    usual = _message(words, _SENTENCE_WORDS)
    most = _message(limits.body_max_words, _SHORT_SENTENCE_WORDS)
    records = sum(map(text_records, texts))
    if not screen.metered and callable(getattr(screen, "many", None)):
        return _Counted(expected=variants + 1, at_most=variants + 1)
    return _Counted(
        expected=len(texts) + variants * usual["parts"],
        at_most=len(texts) + variants * most["parts"],
        usage=Usage(units=records + variants * usual["records"]),
        most_usage=Usage(units=records + variants * most["records"]),
    )


def _message(words: int, sentence_words: int) -> Mapping[str, int]:
    """The parts of a message of so many words, and the text records that they are."""
    parts = _WHOLE_PARTS - (-words // sentence_words)
    whole = text_records("x" * (words * _CHARACTERS_PER_WORD))
    # Two of the parts are the whole body; the others are shorter than a record.
    return {"parts": parts, "records": parts + 2 * (whole - 1)}


def _shield(context: RunContext) -> _Counted:
    documents = context.corpus.documents
    records = Usage(units=sum(text_records(shielded_text(one)) for one in documents))
    # In its own stage, and where the index is made again, which is answered from memory.
    return _Counted(
        expected=len(documents), at_most=len(documents), usage=records, most_usage=records
    )


def _judge(settings: Settings, variants: int) -> _Counted:
    """A message's sentences with its passages, which are sent along."""
    limits = generation.message_limits(settings.channel.variant)

    def records(passage_words: int) -> Usage:
        words = settings.experiment.retrieval.top_k * passage_words + limits.body_max_words
        return Usage(units=variants * text_records("x" * (words * _CHARACTERS_PER_WORD)))

    return _Counted(
        expected=variants,
        at_most=variants,
        usage=records(_PASSAGE_WORDS),
        most_usage=records(settings.experiment.retrieval.max_snippet_words),
    )


def _tokens(settings: Settings) -> tuple[int, int]:
    """The tokens of a usual prompt and reply."""
    limits = generation.message_limits(settings.channel.variant)
    passages = settings.experiment.retrieval.top_k * _PASSAGE_WORDS * _CHARACTERS_PER_WORD
    tone = max(len(settings.prompts[f"tone_{tone}"]) for tone in settings.experiment.tones)
    prompt = len(settings.prompts["base_template"]) + tone + passages + _READERS_CHARACTERS
    reply = limits.body_max_words * _CHARACTERS_PER_WORD
    return prompt // _CHARACTERS_PER_TOKEN, reply // _CHARACTERS_PER_TOKEN
