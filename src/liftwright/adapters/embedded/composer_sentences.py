"""The sentences of passages that the grounded composer may quote, with their scores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright import text as texts
from liftwright.text.lexicon import COMMON_TIERS, speaks_to_staff, tiers_named
from liftwright.text.orders import gives_orders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.model import Passage, Prompt, Segment

_LEAST_WORDS, _MOST_WORDS = 6, 35

# Such a sentence refers to the previous one, and is quoted only right after it.
_REFERS_BACK = re.compile(
    r"(?:it|its|it['\u2019]s|they|their|theirs|them|this|these|those|that|such|he|she|his|her|hers"
    r"|both (?:are|were|have|can|come|of (?:them|these))|the (?:same|former|latter|above|following)"
    r"|then|also|however|but|and|or|so|thus|therefore|instead|otherwise|afterwards|moreover"
    r"|besides|additionally|in (?:addition|this|that|these|such|both|either)|as (?:a result|such)"
    r"|for (?:this|that|example|instance)|at (?:that|this)|after (?:that|this)|with (?:this|that)"
    r"|another|others|either|neither|one of (?:them|these)|similarly|likewise|of these)\b",
    re.IGNORECASE,
)
_FOR_STAFF = re.compile(
    r"(?:always|never|do not|don['\u2019]t|avoid|ensure|make sure|remind|tell|inform|advise"
    r"|escalate|apologi[sz]e|mention|emphasi[sz]e|highlight|stress|quote|state|refrain|respond|reply"
    r"|address|position|target|segment|communicate|message|maintain|include|offer)\b"
    r"|.*\b(?:staff|employees|agents?|team members|representatives|copywriters?"
    r"|marketers?|marketing|campaigns?|messaging|tone of voice|brand voice|internal(?:ly)?"
    r"|confidential|guidelines?|talking points?|subject lines?|e-?mail copy)\b",
    re.IGNORECASE,
)
_NOT_PROSE = re.compile(r"[?\[\]{}<>|*_#`~\n]|https?://|www\.|\S@\S|\.{2,}|…")
_DEFINITE_NOUN = re.compile(r"The ([a-z]+)\b")
_REFERS_TO_OTHERS = re.compile(
    r"\bthe (?:other|others|remaining|rest)\b"
    r"|\byour (?:request|complaint|enquiry|inquiry)\b"
    r"|\b(?:from|on|in|at|with|for|of|to) that "
    r"(?!(?:is|are|was|were|has|have|can|will|you|we|it|they|the)\b)[a-z]",
    re.IGNORECASE,
)
# References to other parts of the document, which a message does not have.
_OUT_OF_PLACE = re.compile(
    r"\bthe following\b|\b(?:above|below)[-:,.]"
    r"|\b(?:table|list|lists|see|listed|shown|described|mentioned|noted|outlined) (?:above|below)\b"
    r"|\bthis (?:\w+ )?(?:page|document|policy|section|article|guide|agreement|notice)\b"
    r"|\bthis (?:web)?site\b|^here (?:are|is)\b"
    r"|^\w+ (?:therefore|also|then|thus)\b",
    re.IGNORECASE,
)
_NEW_CUSTOMERS = re.compile(
    r"\b(?:new (?:\w+ )?(?:customers?|accounts?|members?|shoppers?)|first[- ](?:\w+ )?orders?"
    r"|first[- ]time)\b",
    re.IGNORECASE,
)
_LAPSED_CUSTOMERS = re.compile(
    r"\b(?:welcome back|c[ao]mes? back|after a break|returning (?:customers?|members?|to)"
    r"|have(?: not|n['\u2019]t) (?:ordered|bought|shopped)|been away|lapsed"
    r"|without an order)\b",
    re.IGNORECASE,
)
_NEW_READERS = re.compile(
    r"\b(?:new|newcomers?|first|infrequent|occasional|rarely|seldom)\b", re.IGNORECASE
)
_LAPSED_READERS = re.compile(
    r"\b(?:lapsed|lapsing|inactive|dormant|away|quiet|win[- ]?back|at risk|long ago|long time"
    r"|not (?:ordered|bought|engaged)|slipping|sleeping)\b",
    re.IGNORECASE,
)
_TONES: Mapping[str, re.Pattern[str]] = {
    "urgent": re.compile(
        r"\b(?:today|now|hours?|days?|until|within|before|next|free|save|off|once|same|straight"
        r"|at once|by)\b|%|[£$€]",
        re.IGNORECASE,
    ),
    "informational": re.compile(r"\d|\b(?:made|consists?|costs?|applies|covers?|because)\b"),
    "friendly": re.compile(
        r"\b(?:help\w*|enjoy\w*|comfort\w*|warm\w*|people|home|easy|easily|friends?|famil\w+|free"
        r"|together|visit\w*|walk\w*|story|stories|hands?|keeps?|gift|invit\w+|welcome|room)\b",
        re.IGNORECASE,
    ),
}

_LIMITATION = re.compile(
    r"\b(?:not|cannot|n['\u2019]t|no longer|nothing|never|outside|exclud\w+|except"
    r"|refunds?|refunded|faults?|complain\w*|fail\w*|broken|damage\w*|expired?|delay\w*|unless)\b",
    re.IGNORECASE,
)

_SIMILAR = 0.75
_LIMITING = 0.6
# Penalties above any sentence's score, so that such sentences are used only to reach the length:
# first those reserved for another tone, then those for other readers.
_RESERVED = 3.0
_UNSUITABLE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A sentence that may be quoted.

    Attributes:
        passage: the index of its passage in the prompt.
        position: its index among the sentences of its passage.
        needs_previous: whether it is only clear right after the previous sentence.
        codes: the codes that it names; an offer and its conditions are quoted together.
        score: how well it fits the readers and the tone; higher is better.
    """

    text: str
    words: int
    passage: int
    position: int
    needs_previous: bool
    codes: frozenset[str]
    score: float


def quotes(prompt: Prompt, turn: int, turns: int) -> tuple[Quote, ...]:
    """The sentences of the prompt's passages that may be quoted, in order.

    Args:
        prompt: the prompt; sentences that its feedback quotes are left out.
        turn: the tone's index among the tones; each tone avoids other sentences, so that messages
            from the same passages differ.
        turns: the number of tones.
    """
    refused = pieces_refused(prompt.feedback)
    about = _about(prompt.segment)
    wanted = set(texts.words(about))
    quotable: list[Quote] = []
    earlier_words: list[tuple[int, frozenset[str]]] = []
    for index, passage in enumerate(prompt.passages):
        if _is_barred(passage, prompt.segment):
            continue
        last = ""
        for position, span in enumerate(texts.sentences(passage.text)):
            sentence, previous = " ".join(span.text.split()), last
            last = sentence
            if not _may_be_quoted(sentence, prompt.segment) or is_refused(sentence, refused):
                continue
            words = frozenset(texts.words(sentence))
            if any(_is_similar(words, others, i == index) for i, others in earlier_words):
                continue
            earlier_words.append((index, words))
            reserved = (len(quotable) + len(prompt.feedback)) % turns == turn
            quotable.append(
                Quote(
                    text=sentence,
                    words=len(sentence.split()),
                    passage=index,
                    position=position,
                    needs_previous=_needs_previous(sentence, previous),
                    codes=_codes(sentence),
                    score=1.0
                    + 0.6 * passage.score
                    + _relevance(sentence, wanted)
                    + _fits_tone(sentence, prompt.tone)
                    - _penalty(sentence, about, prompt.segment)
                    - (_RESERVED if reserved else 0.0),
                )
            )
    return tuple(quotable)


def _is_similar(words: frozenset[str], others: frozenset[str], same_passage: bool) -> bool:  # noqa: FBT001 - a plain fact
    """Whether two sentences have the same words, or, from two documents, mostly the same."""
    share = 1.0 if same_passage else _SIMILAR
    return len(words & others) >= share * len(words | others)


def pieces_refused(feedback: Sequence[str]) -> tuple[str, ...]:
    """The texts that the reasons quote in double or single quotation marks."""
    pieces = (
        piece
        for reason in feedback
        for pattern in (r'"([^"]+)"', r"(?<!\w)'(.+)'(?!\w)")
        for piece in re.findall(pattern, reason)
    )
    return tuple(dict.fromkeys(text for piece in pieces if (text := _normalise(piece))))


def _normalise(piece: str) -> str:
    return " ".join(texts.without_citations(piece).split()).rstrip("\u2026 ")


def is_refused(sentence: str, refused: Sequence[str]) -> bool:
    """Whether a reason quotes the sentence or a part of it."""
    return any(
        sentence in piece or re.search(rf"(?<!\w){re.escape(piece)}(?!\w)", sentence)
        for piece in refused
    )


def _about(segment: Segment) -> str:
    words = (feature.words for feature in segment.defining_features)
    return " ".join((segment.label, segment.description, *segment.audience, *words))


def _tiers(segment: Segment) -> tuple[frozenset[str], dict[str, float]]:
    total = sum(segment.tiers.values())
    shares = {tier.lower(): count / total for tier, count in segment.tiers.items() if count > 0}
    return frozenset((*COMMON_TIERS, *map(str.lower, segment.tiers))), shares


def _is_barred(passage: Passage, segment: Segment) -> bool:
    # If one sentence is an injected instruction, the others are not trusted either.
    known, shares = _tiers(segment)
    named = tiers_named(f"{passage.title}. {passage.section}.", known)
    suspicious = gives_orders(passage.text) or speaks_to_staff(passage.text)
    return suspicious or not named <= set(shares)


def _may_be_quoted(sentence: str, segment: Segment) -> bool:
    known, shares = _tiers(segment)
    return (
        _LEAST_WORDS <= len(sentence.split()) <= _MOST_WORDS
        and (sentence[0].isupper() or sentence[0].isdigit() or sentence[0] in "£$€")
        and sentence[-1] in ".!"
        and sentence.count('"') % 2 == 0
        and sentence.count("(") == sentence.count(")")
        and not _NOT_PROSE.search(sentence)
        and not _OUT_OF_PLACE.search(sentence)
        and not _FOR_STAFF.match(sentence)
        and tiers_named(sentence, known) <= set(shares)
    )


def _needs_previous(sentence: str, previous: str) -> bool:
    if _REFERS_BACK.match(sentence) or _REFERS_TO_OTHERS.search(sentence):
        return True
    # "The card can be used ..." after "You receive a gift card" means that card.
    noun = _DEFINITE_NOUN.match(sentence)
    return noun is not None and not set(texts.words(noun[1])).isdisjoint(texts.words(previous))


def _codes(sentence: str) -> frozenset[str]:
    return frozenset(v.canonical for v in texts.values(sentence) if v.kind == "code")


def _relevance(sentence: str, wanted: set[str]) -> float:
    shared = len(wanted.intersection(texts.words(sentence)))
    return 0.2 * min(shared, 3)


def _fits_tone(sentence: str, tone: str) -> float:
    pattern = _TONES.get(tone)
    if pattern is None:
        return 0.0
    return 0.15 * min(len(pattern.findall(sentence)), 3)


def _penalty(sentence: str, about: str, segment: Segment) -> float:
    known, shares = _tiers(segment)
    named = tiers_named(sentence, known)
    penalty = sum((_UNSUITABLE * (1 - shares.get(tier, 0.0)) for tier in named), 0.0)
    if _LIMITATION.search(sentence):
        penalty += _LIMITING
    if _NEW_CUSTOMERS.search(sentence) and not _NEW_READERS.search(about):
        penalty += _UNSUITABLE
    if _LAPSED_CUSTOMERS.search(sentence) and not _LAPSED_READERS.search(about):
        penalty += _UNSUITABLE
    return penalty
