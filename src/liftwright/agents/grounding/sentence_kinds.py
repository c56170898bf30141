"""Which sentences of a message claim something, and what of each sentence is the claim.

A greeting, a question, a call to action or a line that only leads on says nothing that a source
could support. The lists are narrow on purpose: a sentence that is wrongly held for a claim is
refused and written again, one that is wrongly let through reaches a customer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.text import STOPWORDS, normalise, sentences, stem, values, without_citations

if TYPE_CHECKING:
    from collections.abc import Collection

# Words of courtesy and of talk about the message itself. None of them names a product, a
# condition, a price or a benefit, so a sentence of these alone cannot be wrong about one.
_EMPTY_WORDS = """act acted acting addition ahead always another answer anything applies apply
    appreciate appreciated appreciation arrange ask attention
    away back begin being below bit brief briefly bring brings browse care
    carefully chance check choice chosen clear clearly close come comfortable common compare
    comparison completes concern concerned condition conditions consider consult count day
    dear decide decision deserve detail details detour detours discover do doing done drop e
    e-mail easier easily easy effort email enjoy enough essential essentials everything
    explain explore eye fact facts fancy favourite feel fellow find first follow following
    follows fond form forward found friend friendly front further get give given glad go
    going good great greeting hand handy happy hear hello help helpful here hi hope idea
    information inspiration interest interesting into introduction invite item journey just
    keep key kind know knowing known later lay leave let letter like line list little long
    look lot love lovely made mail mails main make many matter may mean meant mention
    message might mind minute moment morning much named names need new next nice nicer note
    notes nothing now oh once one overlook overview page pages part pass pause people
    perhaps pick picture place plain please pleased pleasure point pop practical preamble
    present press pressing purpose put putting question questions quick quiet quote quoted
    quickly rather read reader reading reason reference regard regards related relevant remain reply
    right
    rest review said say section see seen set settle share shared short shortly show side
    sign simple simply since sit smile something soon sooner sort source sources spare start
    state stated statement step stop story straight straightaway subject such suit sum
    summary take talk team tell term terms text than thank thanks there thing things think
    thought time today together tomorrow touch trust turn understand until up update use
    useful view visit wait want warm warmly way web website week welcome well what whenever
    wish without word words worth would write writing yourself
    """
_EMPTY = (
    frozenset(stem(word) for word in _EMPTY_WORDS.split())
    | STOPWORDS
    | {"s", "ll", "ve", "re", "d"}
)

# Forms of these that a brand means something by.
_NAMING = frozenset({"points", "times", "worked", "sorted", "kinds"})

# What makes an invitation a promise.
_PROMISE = re.compile(
    r"\b(?:free|guarante\w*|sav(?:e|es|ing|ings)|discount\w*|refund\w*|lifetime|forever|always|"
    r"never|every|best|only|cheap\w*|lowest|highest|fastest|exclusive\w*|win|bonus\w*|proven|"
    r"cure\w*|certified|waterproof|risk|no|not|without|because|since|include\w*|expires?|ends?|"
    r"last chance|deadline|half|double|twice|triple|extra|unlimited|safe\w*|natural|organic)\b",
    re.IGNORECASE,
)
_SURE_PROMISE = re.compile(
    r"\b(?:did you know|you know|free|guarante\w*|because|refund\w*|discount\w*)\b", re.IGNORECASE
)
_INVITES = re.compile(
    r"(?:please |simply |just |now |so |and |then |why not )*(?:visit|see|open|browse|explore|"
    r"discover|shop|take|start|come|drop|pop|have|make|read|compare|find|consult|go|click|check|"
    r"choose|look|learn|let|contact|reply|call|tell|write|treat|swing|step|stop|head|feel|ask)\b",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"(?:hi|hello|hey|dear|welcome|good (?:morning|afternoon|evening|day)|greetings|"
    r"a (?:warm )?(?:hello|welcome)|to (?:you|our))\b[^.!?]{0,60}[,!.]?",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(
    r"(?:(?:kind|best|warm|warmest|kindest)(?: regards| wishes)?|regards|cheers|sincerely|yours"
    r"(?: \w+)?|warmly|thanks|thank you|all the best|best wishes|see you soon|with care)[,.!]?"
    r"(?:\s+(?:from )?(?:your|the|all of us)\b[^.!?]{0,50})?|(?:your|the) [^.!?,]{1,40} team[.,!]?",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(r"([^:\n]{1,60}):\s+(?=\S)")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_MOST_GREETING_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of a message.

    Attributes:
        text, start, end: as it stands in the message, citations included.
        claim: what is to be supported, without citations and lead-in; empty where the sentence
            claims nothing.
    """

    text: str
    start: int
    end: int
    claim: str


def read_sentences(text: str, frames: Collection[str] = ()) -> tuple[Sentence, ...]:
    """The sentences of a message and what each of them claims.

    Args:
        text: the message.
        frames: sentences that are known to claim nothing, as the composer writes them.
    """
    known = {_folded(span.text) for frame in frames for span in sentences(frame)}
    known |= {_folded(frame) for frame in frames}
    return tuple(
        Sentence(text=span.text, start=span.start, end=span.end, claim=_claim_of(span.text, known))
        for span in sentences(text)
    )


def _claim_of(sentence: str, known: Collection[str]) -> str:
    plain = normalise(without_citations(sentence))
    if _folded(plain) in known:
        return ""
    lead = _LEAD_IN.match(plain)
    if lead and (_folded(f"{lead[1]}:") in known or _is_empty(lead[1])):
        plain = plain[lead.end() :]
    return "" if _claims_nothing(plain) else plain


def _claims_nothing(plain: str) -> bool:
    if not any(letter.isalnum() for letter in plain):
        return True
    if values(plain):
        return False
    if _is_empty(plain):
        return True
    short = len(plain.split()) <= _MOST_GREETING_WORDS and not _PROMISE.search(plain)
    if short and (_GREETING.fullmatch(plain) or _SIGN_OFF.fullmatch(plain)):
        return True
    if plain.endswith("?"):
        return not _SURE_PROMISE.search(plain)
    return bool(_INVITES.match(plain)) and not _PROMISE.search(plain)


def _is_empty(plain: str) -> bool:
    """Whether every word is one that names nothing."""
    if values(plain):
        return False
    return all(
        (part in _EMPTY or stem(part) in _EMPTY) and part not in _NAMING
        for word in _WORD.findall(plain.casefold())
        for part in re.split(r"['\u2019-]", word)
    )


def _folded(text: str) -> str:
    return normalise(text).casefold()
