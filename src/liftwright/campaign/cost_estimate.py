"""Estimates the calls of a run: how many to each service, their usage and cost.

The number of calls is computed; the length of each call is estimated from the channel's limits,
with four characters per token. Calls that the ledger would replay, as in a resumed run, are not
subtracted.
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
from liftwright.config.prompt_templates import CONTROL_MESSAGE
from liftwright.model import Tokens, Usage, text_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.campaign.context import RunContext
    from liftwright.config import Settings
    from liftwright.model import Segment

_CHARACTERS_PER_TOKEN = 4
_CHARACTERS_PER_WORD = 6
_PASSAGE_WORDS = 120
_SEGMENT_CHARACTERS = 800  # a segment's description and features in the prompt
_QUERY_CHARACTERS = 300  # a segment's interests, audience and features as a query
# The longest prompt relative to a usual one: long passages, short tokens, feedback.
_MAX_PROMPT_FACTOR = 3
_INDEX_BATCH = 100
# In addition to the sentences: the subject, the raw body, and the visible body.
_WHOLE_PARTS = 3
_SENTENCE_WORDS, _SHORT_SENTENCE_WORDS = 12, 4
_INDEX_CALLS = 2  # once in its own stage, and again before the search, when it is complete
_SEARCHES_PER_SEGMENT = 2  # the segment's query, and a wider one if it finds too little


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCalls:
    """The expected and the maximum number of calls to one port.

    Attributes:
        at_most: including redrafts; for `screen`, assuming short sentences.
        input_tokens, output_tokens: expected, if the service charges by token.
        units: expected, if it charges by another `unit`.
        price_as_of: the date of the price; None without a price or charge.
        unpriced: the key in azure_config.yaml of a missing price; the calls count as 0 USD.
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
class _CallEstimate:
    """The calls to one port and their total usage."""

    expected: int
    at_most: int
    usage: Usage = Usage()  # noqa: RUF009 - frozen
    most_usage: Usage = Usage()  # noqa: RUF009 - frozen


def planned_calls(context: RunContext, segments: Sequence[Segment]) -> tuple[PlannedCalls, ...]:
    """The calls that a run on these segments would make, by port; makes none of them.

    A local embedder is omitted, because its calls are too many and too cheap to count.
    """
    ports, settings = context.ports, context.settings
    names = settings.services.adapters
    variants = len(segments) * len(settings.experiment.tones)
    counted: dict[str, tuple[str, bool, _CallEstimate]] = {
        "complete": (names.complete, ports.complete.metered, _complete(context, variants)),
    }
    if ports.embed.metered:
        counted["embed"] = (names.embed, True, _embed(context, len(segments), variants))
    counted |= {
        "index": (
            names.search,
            ports.index.metered,
            _CallEstimate(expected=_INDEX_CALLS, at_most=_INDEX_CALLS),
        ),
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
    """A warning for each charged service without a configured price."""
    for call in calls:
        if call.unpriced is not None:
            yield (
                f"{call.port}: no price at {call.unpriced} in azure_config.yaml; "
                "its calls count as 0 USD"
            )


def _planned(
    port: str, adapter: str, calls: _CallEstimate, pricing: Pricing, *, metered: bool
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


def _complete(context: RunContext, variants: int) -> _CallEstimate:
    prompt, reply = _tokens(context.settings)
    drafts = variants * (1 + context.settings.experiment.generation.max_redrafts)
    # The longest prompt, including feedback, and the longest accepted reply.
    longest = Tokens(
        input=drafts * prompt * _MAX_PROMPT_FACTOR,
        output=drafts * (longest_reply(context.ports.complete) or reply),
    )
    return _CallEstimate(
        expected=variants,
        at_most=drafts,
        usage=Usage(tokens=Tokens(input=variants * prompt, output=variants * reply)),
        most_usage=Usage(tokens=longest),
    )


def _embed(context: RunContext, segments: int, variants: int) -> _CallEstimate:
    """Embeddings of the corpus, the queries, the drafts, and the passages that ground them."""
    settings = context.settings
    vectors = getattr(context.ports.index, "uses_vectors", True)
    texts = [
        f"{document.title} {paragraph.section} {paragraph.text}"
        for document in (context.corpus.documents if vectors else ())
        for paragraph in document.paragraphs()
    ]
    indexing = -(-len(texts) // _INDEX_BATCH)
    redrafts = variants * settings.experiment.generation.max_redrafts
    queries = segments if vectors else 0
    passages = segments * settings.experiment.retrieval.top_k * _PASSAGE_WORDS
    _, reply = _tokens(settings)
    tokens = (
        sum(map(len, texts)) + queries * _QUERY_CHARACTERS + passages * _CHARACTERS_PER_WORD
    ) // _CHARACTERS_PER_TOKEN + variants * reply
    most = _MAX_PROMPT_FACTOR * (tokens + redrafts * reply)
    expected = indexing + queries + 1 + variants
    return _CallEstimate(
        expected=expected,
        at_most=expected + queries + redrafts,
        usage=Usage(tokens=Tokens(input=tokens)),
        most_usage=Usage(tokens=Tokens(input=most)),
    )


def _search(context: RunContext, segments: int) -> _CallEstimate:
    queries_per_search = 1
    if context.ports.index.metered:
        queries_per_search = getattr(context.ports.search("plan"), "most_queries", 1)
    return _CallEstimate(
        expected=segments,
        at_most=segments * _SEARCHES_PER_SEGMENT,
        usage=Usage(units=segments),
        most_usage=Usage(units=segments * _SEARCHES_PER_SEGMENT * queries_per_search),
    )


def _screen(context: RunContext, variants: int) -> _CallEstimate:
    """One call per message part; one per message for a local screener with batches."""
    settings, screen = context.settings, context.ports.screen
    limits = generation.message_limits(settings.channel.variant)
    control = generation.control_variant(
        settings.prompts[CONTROL_MESSAGE],
        brand=settings.experiment.brand,
        limits=generation.message_limits(settings.channel.control),
    )
    texts = [control.subject, *(part.text for part in parts_of(control.body, "body"))]
    words = (limits.body_min_words + limits.body_max_words) // 2
    usual = _message(words, _SENTENCE_WORDS)
    most = _message(limits.body_max_words, _SHORT_SENTENCE_WORDS)
    records = sum(map(text_records, texts))
    if not screen.metered and callable(getattr(screen, "many", None)):
        return _CallEstimate(expected=variants + 1, at_most=variants + 1)
    return _CallEstimate(
        expected=len(texts) + variants * usual["parts"],
        at_most=len(texts) + variants * most["parts"],
        usage=Usage(units=records + variants * usual["records"]),
        most_usage=Usage(units=records + variants * most["records"]),
    )


def _message(words: int, sentence_words: int) -> Mapping[str, int]:
    """The number of parts and text records of a message with the given number of words."""
    parts = _WHOLE_PARTS - (-words // sentence_words)
    whole = text_records("x" * (words * _CHARACTERS_PER_WORD))
    # Two parts are the whole body; the others are shorter than a record.
    return {"parts": parts, "records": parts + 2 * (whole - 1)}


def _shield(context: RunContext) -> _CallEstimate:
    documents = context.corpus.documents
    records = Usage(units=sum(text_records(shielded_text(document)) for document in documents))
    # Indexing again before the search replays these calls from the ledger.
    return _CallEstimate(
        expected=len(documents), at_most=len(documents), usage=records, most_usage=records
    )


def _judge(settings: Settings, variants: int) -> _CallEstimate:
    """The sentences of each message together with its passages."""
    limits = generation.message_limits(settings.channel.variant)

    def records(passage_words: int) -> Usage:
        words = settings.experiment.retrieval.top_k * passage_words + limits.body_max_words
        return Usage(units=variants * text_records("x" * (words * _CHARACTERS_PER_WORD)))

    return _CallEstimate(
        expected=variants,
        at_most=variants,
        usage=records(_PASSAGE_WORDS),
        most_usage=records(settings.experiment.retrieval.max_snippet_words),
    )


def _tokens(settings: Settings) -> tuple[int, int]:
    """The tokens of a typical prompt and reply."""
    limits = generation.message_limits(settings.channel.variant)
    passages = settings.experiment.retrieval.top_k * _PASSAGE_WORDS * _CHARACTERS_PER_WORD
    tone = max(len(settings.prompts[f"tone_{tone}"]) for tone in settings.experiment.tones)
    prompt = len(settings.prompts["base_template"]) + tone + passages + _SEGMENT_CHARACTERS
    reply = limits.body_max_words * _CHARACTERS_PER_WORD
    return prompt // _CHARACTERS_PER_TOKEN, reply // _CHARACTERS_PER_TOKEN
