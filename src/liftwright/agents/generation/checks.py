"""Whether a draft may be kept: its form, its citations, and what only a source may say.

Each check gives reasons, one plain sentence each, which the next draft is asked with. A piece of
the draft stands in a reason between double quotes alone, so that a log can leave it out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright import text as texts
from liftwright.agents.generation.call_to_action import asks_to_act
from liftwright.agents.generation.format_checks import check_form
from liftwright.model import Citation
from liftwright.text.lexicon import COMMON_TIERS, gives_instructions, speaks_to_staff, tiers_named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from liftwright.config import Brand
    from liftwright.model import Limits, Passage, Segment

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A draft that has passed the checks of this module, as the check of its claims takes it."""

    segment: Segment
    tone: str
    subject: str
    body: str
    passages: tuple[Passage, ...]
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What drafts are judged by, beside their passages and segment.

    Attributes:
        labels: the names of all segments; internal, so none may be shown.
        known_tiers: every tier that any customer holds.
        instructions: what the writer was told; a run of its words must not come back.
    """

    brand: Brand
    limits: Limits
    labels: tuple[str, ...] = ()
    known_tiers: tuple[str, ...] = ()
    instructions: str = ""


def check_draft(
    subject: str, body: str, *, passages: Sequence[Passage], segment: Segment, rules: Rules
) -> tuple[str, ...]:
    """The reasons why a draft is refused; none where it may be kept.

    Args:
        subject: one line of plain text.
        body: the message without subject and footer.
        passages: what the writer was given; only they may be cited.
        segment: the readers; it tells which tiers they hold.
        rules: brand, limits and what must not be shown.
    """
    reasons = list(check_form(subject, body, rules.limits))
    if not body:
        return tuple(reasons)
    cited = cited_passages(body, passages)
    reasons += _citations(body, passages, cited)
    plain = texts.without_citations(body)
    message = f"{subject}\n\n{plain}"
    source = "\n\n".join(map(_as_source, cited))
    reasons += _values(subject, plain, source, rules.brand.name)
    reasons += _tiers(message, source, segment, rules.known_tiers)
    reasons += _labels(message, source, (segment.label, *rules.labels))
    reasons += _links(message, rules.brand, source)
    reasons += _leakage(message, rules.instructions)
    if not asks_to_act(body):
        reasons.append("The body has no call to action: ask the reader to do one thing.")
    return tuple(dict.fromkeys(reasons))


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


def _as_source(passage: Passage) -> str:
    # A planted instruction vouches for nothing that it says.
    said = [s.text for s in texts.sentences(passage.text) if not gives_instructions(s.text)]
    return " ".join((f"{passage.title}.", f"{passage.section}.", *said))


def _citations(body: str, passages: Sequence[Passage], cited: Sequence[Passage]) -> Iterator[str]:
    for found in texts.references(body, _known(passages)):
        if found.title is None:
            raw = body[found.start : found.end].strip("[]")
            yield f'The citation "{raw[:120]}" names no title and section of the passages.'
    if not cited:
        yield "The body cites none of the passages."


def _values(subject: str, plain: str, source: str, brand: str) -> Iterator[str]:
    known = texts.KnownValues(texts.values(source))
    for where, text in (("subject", subject), ("body", plain)):
        text_of_others = text.replace(brand, " " * len(brand)) if brand else text
        for value in texts.values(text_of_others):
            # "one" alone is a pronoun far more often than a count.
            is_word_one = value.kind == "number" and value.text.lower() == "one"
            if not is_word_one and not known.hold(value):
                yield f'The {where} gives "{value.text}", which no cited passage contains.'
        for match in _CODE.finditer(text_of_others):
            if match[1] not in source:
                yield f'The {where} gives the code "{match[1]}", which no cited passage contains.'


def _tiers(
    message: str, source: str, segment: Segment, known_tiers: Collection[str]
) -> Iterator[str]:
    known = {*COMMON_TIERS, *known_tiers, *segment.tiers}
    held = {tier.lower() for tier, count in segment.tiers.items() if count > 0}
    granted = held | tiers_named(source, known)
    for tier in sorted(tiers_named(message, known)):
        if tier not in granted:
            yield f'The message names the tier "{tier}", which neither readers nor sources hold.'
        elif held != {tier} and _addresses(message, tier):
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


def _labels(message: str, source: str, labels: Collection[str]) -> Iterator[str]:
    for label in dict.fromkeys(labels):
        words = label.split()
        if not words:
            continue
        name = r"\s+".join(map(re.escape, words))
        # A label of one word is too common a word to be told from the language itself.
        after = (
            r"\s+(?:customers?|members?|shoppers?|buyers?|segment|group)" if words[1:] == [] else ""
        )
        pattern = re.compile(rf"(?<!\w){name}{after}(?!\w)", re.IGNORECASE)
        if pattern.search(message) and not pattern.search(source):
            yield f'The message shows the internal name "{label}".'


def _links(message: str, brand: Brand, source: str) -> Iterator[str]:
    allowed = {host.lower() for host in (*brand.link_hosts, _host(brand.unsubscribe_url))}
    for match in _LINK.finditer(message):
        link = match[0].rstrip(".,;:!?")
        if "@" in link and "//" not in link and link in source:
            continue
        host = _host(link)
        if not any(host == name or host.endswith(f".{name}") for name in allowed if name):
            yield f'The message links to "{host}", which is not among the allowed hosts.'


def _host(link: str) -> str:
    if "//" not in link:
        link = f"//{link.rpartition('@')[2]}"
    try:
        return (urlsplit(link).hostname or "").lower().removeprefix("www.")
    except ValueError:
        return ""


def _leakage(message: str, instructions: str) -> Iterator[str]:
    if gives_instructions(message) or _BRIEFING.search(message):
        yield "The message speaks of how it was made, or gives instructions to a writer."
    if speaks_to_staff(message):
        yield "The message speaks of its readers to staff; it speaks to the readers alone."
    told, said = instructions.lower().split(), f" {' '.join(message.lower().split())} "
    runs = (told[start : start + _LEAKED_WORDS] for start in range(len(told) - _LEAKED_WORDS + 1))
    if any(f" {' '.join(run)} " in said for run in runs):
        yield "The message repeats the instructions to its writer."
