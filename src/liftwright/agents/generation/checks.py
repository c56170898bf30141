"""The drafting checks: a draft's form, its citations, and facts that only a source may provide.

Each check returns reasons, one plain sentence each, which become feedback for the next draft. Text
quoted from the draft is always in double quotes, so that logs can omit it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright import text as texts
from liftwright.agents.generation.call_to_action import asks_to_act
from liftwright.agents.generation.format_checks import check_form
from liftwright.config.prompt_templates import BASE, CONTROL_MESSAGE, tone_template
from liftwright.model import Citation
from liftwright.model.checks import DRAFTING, Check, CheckResult
from liftwright.text.lexicon import COMMON_TIERS, speaks_to_staff, tiers_named
from liftwright.text.orders import gives_orders, without_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from liftwright.config import Brand
    from liftwright.model import Limits, Passage, Variant
    from liftwright.model.checks import Message

_CODE = re.compile(r"\b[Cc]ode:?\s+[\"'\u201c\u2018]?([A-Z][A-Z0-9]{3,})\b")
_LINK = re.compile(
    r"(?:https?://|www\.)[^\s\]>)\"']+"
    r"|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|co|uk|de|eu|shop|store|app|dev|info|biz|ly|example)"
    r"\b(?:/[^\s\]>)\"']*)?",
    re.IGNORECASE,
)
_PROMPT_WORDS = re.compile(
    r"^\W*here(?:['\u2019]s| is) (?:the|your|a|an|my) (?:\w+ ){0,2}"
    r"(?:e-?mail|draft|message|version)\b"
    r"|\bas (?:requested|instructed)\b|\bword count\b|\b(?:provided|retrieved|given) "
    r"(?:passages?|context|content|sources?)\b|\bpassage (?:number )?\d|\btarget audience\b"
    r"|\b(?:customer|target|your) segment\b|\bcall to action\s*:|^\s*(?:tone|body|audience)\s*:"
    r"|\bcurly brac|\bjson\b|\binternal name\b",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS_WORDS = r"(?:as|being|dear|hello|hi|to|for|our|valued|loyal)"
_LEAKED_WORDS = 12
_MIN_SIMILARITY = 0.9
_SHINGLE = 3


def drafting_checks(
    *, brand: Brand, limits: Limits, templates: Mapping[str, str]
) -> tuple[Check, ...]:
    """The drafting checks, in the order in which the writer gets their reasons.

    Args:
        brand: its name is not checked as a value, and links to its hosts are allowed.
        limits: the limits for the channel's variants.
        templates: the prompt templates by file stem; a draft must not repeat them.
    """
    hosts = {host.lower() for host in (*brand.link_hosts, _host(brand.unsubscribe_url)) if host}
    prompts = {name: text for name, text in templates.items() if name != CONTROL_MESSAGE}
    return (
        _check(
            "form",
            lambda message: check_form(
                message.subject or "",
                message.body,
                limits,
                [passage.title for passage in message.passages],
            ),
            limits,
        ),
        _check("citations", _citations),
        _check("values", lambda message: _values(message, brand.name), brand.name),
        _check("tiers", _tiers),
        _check("internal_names", _internal_names),
        _check("links", lambda message: _links(message, hosts), hosts),
        _check("leakage", lambda message: _leakage(message, prompts), prompts),
        _check("call_to_action", _call_to_action),
        _check("distinct", _distinct),
    )


def _check(
    name: str, reasons: Callable[[Message], Iterable[str]], settings: object = None
) -> Check:
    def find(message: Message) -> CheckResult:
        # An empty body can only be checked for its form.
        applies = message.body or name == "form"
        return CheckResult(reasons=tuple(reasons(message)) if applies else ())

    return Check(name=name, stage=DRAFTING, settings=settings, find=find)


def cited_passages(body: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The passages that a body cites, in the order of the prompt.

    A citation names a section, and so covers all passages of that section.
    """
    cited = _cited_names(body, passages)
    return tuple(passage for passage in passages if _name(passage) in cited)


def citations_of(body: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """The citations of a body, each passage once, in the order of the text."""
    order = _cited_names(body, passages)
    cited = sorted(cited_passages(body, passages), key=lambda passage: order.index(_name(passage)))
    return tuple(
        Citation(
            document_id=passage.document_id,
            version=passage.version,
            title=passage.title,
            section=passage.section,
            paragraph_index=passage.paragraph_index,
        )
        for passage in cited
    )


def _name(passage: Passage) -> tuple[str, str]:
    return passage.title, passage.section


def _cited_names(body: str, passages: Sequence[Passage]) -> list[tuple[str | None, str | None]]:
    """The title and section of each citation; None where it matches no passage."""
    references = texts.references(body, map(_name, passages))
    return [(reference.title, reference.section) for reference in references]


def _visible_text(message: Message) -> str:
    """The text of a message that a reader sees."""
    return f"{message.subject}\n\n{texts.without_citations(message.body)}"


def _cited_text(message: Message) -> str:
    """The text of the cited passages."""
    return "\n\n".join(map(_source_text, cited_passages(message.body, message.passages)))


def _source_text(passage: Passage) -> str:
    # A prompt injection is not evidence for anything.
    usable = [span.text for span in without_orders(texts.sentences(passage.text))]
    return " ".join((f"{passage.title}.", f"{passage.section}.", *usable))


def _citations(message: Message) -> Iterator[str]:
    for reference in texts.references(message.body, map(_name, message.passages)):
        if reference.title is None:
            raw = message.body[reference.start : reference.end].strip("[]")
            yield f'The citation "{raw[:120]}" does not match a title and section of the passages.'
    if not cited_passages(message.body, message.passages):
        yield "The body does not cite any passage."


def _values(message: Message, brand: str) -> Iterator[str]:
    source = _cited_text(message)
    known = texts.KnownValues(texts.values(source))
    body = texts.without_citations(message.body)
    for where, text in (("subject", message.subject or ""), ("body", body)):
        unbranded = text.replace(brand, " " * len(brand)) if brand else text
        for value in texts.values(unbranded):
            # "one" alone is a pronoun far more often than a count.
            is_word_one = value.kind == "number" and value.text.lower() == "one"
            if not is_word_one and not known.hold(value):
                yield f'The {where} gives "{value.text}", which no cited passage contains.'
        for match in _CODE.finditer(unbranded):
            if match[1] not in source:
                yield f'The {where} gives the code "{match[1]}", which no cited passage contains.'


def _tiers(message: Message) -> Iterator[str]:
    text, counts = _visible_text(message), message.segment.tiers if message.segment else {}
    known = {*COMMON_TIERS, *message.known_tiers, *counts}
    segment_tiers = {tier.lower() for tier, count in counts.items() if count > 0}
    allowed = segment_tiers | tiers_named(_cited_text(message), known)
    for tier in sorted(tiers_named(text, known)):
        if tier not in allowed:
            yield f'The message names the tier "{tier}", which no reader has and no source names.'
        elif segment_tiers != {tier} and _addresses(text, tier):
            yield f'The message addresses its readers as "{tier}", but not all of them are.'


def _addresses(message: str, tier: str) -> bool:
    name = re.escape(tier)
    return bool(
        re.search(
            rf"\b{_ADDRESS_WORDS} (?:an? |one of our |our |valued |loyal |exclusive )*{name} "
            rf"(?:\w+ )?(?:members?|customers?|shoppers?|friends?)\b(?= ?[,!]| you\b|\W*$)"
            rf"|\byour {name}\b|\byou (?:are|have been|hold|have) (?:an? )?{name}\b",
            message,
            re.IGNORECASE | re.MULTILINE,
        )
    )


def _internal_names(message: Message) -> Iterator[str]:
    text, source = _visible_text(message), _cited_text(message)
    own = (message.segment.label,) if message.segment else ()
    for label in dict.fromkeys((*own, *message.labels)):
        words = label.split()
        if not words:
            continue
        name = r"\s+".join(map(re.escape, words))
        # A one-word label is too common to be recognised on its own.
        after = (
            r"\s+(?:customers?|members?|shoppers?|buyers?|segment|group)" if words[1:] == [] else ""
        )
        pattern = re.compile(rf"(?<!\w){name}{after}(?!\w)", re.IGNORECASE)
        if pattern.search(text) and not pattern.search(source):
            yield f'The message shows the internal name "{label}".'


def _links(message: Message, allowed: Collection[str]) -> Iterator[str]:
    source = _cited_text(message)
    for match in _LINK.finditer(_visible_text(message)):
        link = match[0].rstrip(".,;:!?")
        if "@" in link and "//" not in link and link in source:
            continue
        host = _host(link)
        if not any(host == name or host.endswith(f".{name}") for name in allowed):
            yield f'The message links to "{host}", which is not among the allowed hosts.'


def _host(link: str) -> str:
    if "//" not in link:
        link = f"//{link.rpartition('@')[2]}"
    try:
        return (urlsplit(link).hostname or "").lower().removeprefix("www.")
    except ValueError:
        return ""


def _leakage(message: Message, templates: Mapping[str, str]) -> Iterator[str]:
    text = _visible_text(message)
    if gives_orders(text) or _PROMPT_WORDS.search(text):
        yield "The message mentions how it was written, or contains instructions to a writer."
    if speaks_to_staff(text):
        yield "The message talks about its readers; it must address them."
    files = (BASE, tone_template(message.tone or ""))
    words = "\n".join(templates.get(name, "") for name in files).lower().split()
    folded = f" {' '.join(text.lower().split())} "
    runs = (words[start : start + _LEAKED_WORDS] for start in range(len(words) - _LEAKED_WORDS + 1))
    if any(f" {' '.join(run)} " in folded for run in runs):
        yield "The message repeats instructions from the prompt."


def _call_to_action(message: Message) -> Iterator[str]:
    if not asks_to_act(message.body):
        yield "The body has no call to action: ask the reader to do one thing."


def _distinct(message: Message) -> Iterator[str]:
    yield from duplicate_reasons(message.subject or "", message.body, message.others)


def duplicate_reasons(subject: str, body: str, others: Sequence[Variant]) -> tuple[str, ...]:
    """Why a message duplicates one of `others`; empty if it does not."""
    if any(is_near_duplicate(body, other.body) for other in others):
        return ("The body is too similar to another variant for this segment.",)
    if any(subject.casefold() == other.subject.casefold() for other in others):
        return ("The subject is the same as in another variant for this segment.",)
    return ()


def is_near_duplicate(body: str, other: str) -> bool:
    """Whether two bodies differ in a few words at most, by the Jaccard similarity of shingles."""
    first, second = _shingles(body), _shingles(other)
    if not first or not second:
        return texts.normalise(body).casefold() == texts.normalise(other).casefold()
    return len(first & second) >= _MIN_SIMILARITY * len(first | second)


def _shingles(body: str) -> set[tuple[str, ...]]:
    words = texts.normalise(texts.without_citations(body)).casefold().split()
    return {tuple(words[start : start + _SHINGLE]) for start in range(len(words) - _SHINGLE + 1)}
