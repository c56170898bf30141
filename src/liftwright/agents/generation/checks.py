"""The drafting checks: a draft's form, its citations, and what only a source may say.

Each check gives reasons, one plain sentence each, which the next draft is asked with. A quoted
piece of the draft always stands between double quotes, so that a log can leave it out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright import text as texts
from liftwright.agents.generation.call_to_action import asks_to_act
from liftwright.agents.generation.format_checks import check_form
from liftwright.agents.generation.prompts import BASE_TEMPLATE, CONTROL_TEMPLATE
from liftwright.model import Citation
from liftwright.model.checks import DRAFTING, Check, CheckResult
from liftwright.text.lexicon import COMMON_TIERS, gives_instructions, speaks_to_staff, tiers_named

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
_BRIEFING = re.compile(
    r"^\W*here(?:['\u2019]s| is) (?:the|your|a|an|my) (?:\w+ ){0,2}"
    r"(?:e-?mail|draft|message|version)\b"
    r"|\bas (?:requested|instructed)\b|\bword count\b|\b(?:provided|retrieved|given) "
    r"(?:passages?|context|content|sources?)\b|\bpassage (?:number )?\d|\btarget audience\b"
    r"|\b(?:customer|target|your) segment\b|\bcall to action\s*:|^\s*(?:tone|body|audience)\s*:"
    r"|\bcurly brac|\bjson\b|\binternal name\b",
    re.IGNORECASE | re.MULTILINE,
)
_HELD = r"(?:as|being|dear|hello|hi|to|for|our|valued|loyal)"
_LEAKED_WORDS = 12
_ALIKE = 0.9
_RUN = 3


def drafting_checks(
    *, brand: Brand, limits: Limits, templates: Mapping[str, str]
) -> tuple[Check, ...]:
    """This package's checks, in the order in which the writer reads their reasons.

    Args:
        brand: its name is no value, and its hosts may be linked to.
        limits: of the channel's variants.
        templates: what the writer is told, by file stem; its words must not come back.
    """
    hosts = {host.lower() for host in (*brand.link_hosts, _host(brand.unsubscribe_url)) if host}
    told = {name: text for name, text in templates.items() if name != CONTROL_TEMPLATE}
    return (
        _check(
            "form", lambda message: check_form(message.subject or "", message.body, limits), limits
        ),
        _check("citations", _citations),
        _check("values", lambda message: _values(message, brand.name), brand.name),
        _check("tiers", _tiers),
        _check("internal_names", _internal_names),
        _check("links", lambda message: _links(message, hosts), hosts),
        _check("leakage", lambda message: _leakage(message, told), told),
        _check("call_to_action", _call_to_action),
        _check("distinct", _distinct),
    )


def _check(
    name: str, reasons: Callable[[Message], Iterable[str]], settings: object = None
) -> Check:
    def find(message: Message) -> CheckResult:
        # An empty body has nothing but its form to judge.
        is_judged = message.body or name == "form"
        return CheckResult(reasons=tuple(reasons(message)) if is_judged else ())

    return Check(name=name, stage=DRAFTING, settings=settings, find=find)


def cited_passages(body: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The passages that a body cites, in the prompt's order.

    Of several paragraphs of one section, a citation means all: it names no paragraph.
    """
    known = _known(passages)
    named = {(found.title, found.section) for found in texts.references(body, known)}
    return tuple(p for p in passages if (p.title, p.section) in named)


def citations_of(body: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """The citations of a body, each passage once, in the order of the text."""
    order = [(found.title, found.section) for found in texts.references(body, _known(passages))]
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


def _known(passages: Sequence[Passage]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys(map(_name, passages)))


def _said(message: Message) -> str:
    """What a reader sees of a message."""
    return f"{message.subject}\n\n{texts.without_citations(message.body)}"


def _source(message: Message) -> str:
    """What the cited passages say."""
    return "\n\n".join(map(_as_source, cited_passages(message.body, message.passages)))


def _as_source(passage: Passage) -> str:
    # A planted instruction vouches for nothing that it says.
    said = [s.text for s in texts.sentences(passage.text) if not gives_instructions(s.text)]
    return " ".join((f"{passage.title}.", f"{passage.section}.", *said))


def _citations(message: Message) -> Iterator[str]:
    for found in texts.references(message.body, _known(message.passages)):
        if found.title is None:
            raw = message.body[found.start : found.end].strip("[]")
            yield f'The citation "{raw[:120]}" names no title and section of the passages.'
    if not cited_passages(message.body, message.passages):
        yield "The body does not cite any passage."


def _values(message: Message, brand: str) -> Iterator[str]:
    source = _source(message)
    known = texts.KnownValues(texts.values(source))
    body = texts.without_citations(message.body)
    for where, text in (("subject", message.subject or ""), ("body", body)):
        text_of_others = text.replace(brand, " " * len(brand)) if brand else text
        for value in texts.values(text_of_others):
            # "one" alone is a pronoun far more often than a count.
            is_word_one = value.kind == "number" and value.text.lower() == "one"
            if not is_word_one and not known.hold(value):
                yield f'The {where} gives "{value.text}", which no cited passage contains.'
        for match in _CODE.finditer(text_of_others):
            if match[1] not in source:
                yield f'The {where} gives the code "{match[1]}", which no cited passage contains.'


def _tiers(message: Message) -> Iterator[str]:
    said, held_by = _said(message), message.segment.tiers if message.segment else {}
    known = {*COMMON_TIERS, *message.known_tiers, *held_by}
    held = {tier.lower() for tier, count in held_by.items() if count > 0}
    granted = held | tiers_named(_source(message), known)
    for tier in sorted(tiers_named(said, known)):
        if tier not in granted:
            yield f'The message names the tier "{tier}", which neither readers nor sources hold.'
        elif held != {tier} and _addresses(said, tier):
            yield f'The message speaks to its readers as "{tier}", which not all of them are.'


def _addresses(message: str, tier: str) -> bool:
    name = re.escape(tier)
    return bool(
        re.search(
            rf"\b{_HELD} (?:an? |one of our |our |valued |loyal |exclusive )*{name} "
            rf"(?:\w+ )?(?:members?|customers?|shoppers?|friends?)\b(?= ?[,!]| you\b|\W*$)"
            rf"|\byour {name}\b|\byou (?:are|have been|hold|have) (?:an? )?{name}\b",
            message,
            re.IGNORECASE | re.MULTILINE,
        )
    )


def _internal_names(message: Message) -> Iterator[str]:
    said, source = _said(message), _source(message)
    own = (message.segment.label,) if message.segment else ()
    for label in dict.fromkeys((*own, *message.labels)):
        words = label.split()
        if not words:
            continue
        name = r"\s+".join(map(re.escape, words))
        # A label of one word is too common a word to be told from the language itself.
        after = (
            r"\s+(?:customers?|members?|shoppers?|buyers?|segment|group)" if words[1:] == [] else ""
        )
        pattern = re.compile(rf"(?<!\w){name}{after}(?!\w)", re.IGNORECASE)
        if pattern.search(said) and not pattern.search(source):
            yield f'The message shows the internal name "{label}".'


def _links(message: Message, allowed: Collection[str]) -> Iterator[str]:
    source = _source(message)
    for match in _LINK.finditer(_said(message)):
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
    text = _said(message)
    if gives_instructions(text) or _BRIEFING.search(text):
        yield "The message mentions how it was written, or contains instructions to a writer."
    if speaks_to_staff(text):
        yield "The message talks about its readers; it must address them."
    files = (BASE_TEMPLATE, f"tone_{message.tone}")
    told = "\n".join(templates.get(name, "") for name in files).lower().split()
    said = f" {' '.join(text.lower().split())} "
    runs = (told[start : start + _LEAKED_WORDS] for start in range(len(told) - _LEAKED_WORDS + 1))
    if any(f" {' '.join(run)} " in said for run in runs):
        yield "The message repeats instructions from the prompt."


def _call_to_action(message: Message) -> Iterator[str]:
    if not asks_to_act(message.body):
        yield "The body has no call to action: ask the reader to do one thing."


def _distinct(message: Message) -> Iterator[str]:
    yield from reasons_alike(message.subject or "", message.body, message.others)


def reasons_alike(subject: str, body: str, others: Sequence[Variant]) -> tuple[str, ...]:
    """Why a message duplicates one of `others`; empty if it does not."""
    if any(alike(body, other.body) for other in others):
        return ("The body is too similar to another variant for this segment.",)
    if any(subject.casefold() == other.subject.casefold() for other in others):
        return ("The subject is the same as in another variant for this segment.",)
    return ()


def alike(one: str, other: str) -> bool:
    """Whether two bodies are the same but for a few words."""
    first, second = _runs(one), _runs(other)
    if not first or not second:
        return texts.normalise(one).casefold() == texts.normalise(other).casefold()
    return len(first & second) >= _ALIKE * len(first | second)


def _runs(body: str) -> set[tuple[str, ...]]:
    words = texts.normalise(texts.without_citations(body)).casefold().split()
    return {tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)}
