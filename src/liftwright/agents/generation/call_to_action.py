"""Whether a message asks its reader to do something."""

from __future__ import annotations

import re

from liftwright import text as texts

_VERBS = frozenset(
    """
    act activate add apply ask book bring browse build buy call catch celebrate check choose
    claim click collect come compare complete confirm consult contact continue create customise
    customize decide discover dive donate download drop earn enjoy enter examine experience
    explore find follow get give go grab have head help invest invite join keep learn let log
    look make meet message note open order pack pick plan pop prepare purchase put read redeem
    refer refresh register renew reply request reserve return review rsvp save schedule search
    see select send set share shop sign skip speak start step stock stop stroll subscribe swing
    take talk tap tell test treat trade try turn unlock update upgrade use view visit walk watch
    wear write
    """.split()  # noqa: SIM905 - words read better as a text
)
_LEADING_WORDS = frozenset(
    """
    please so now today then simply just and or also first next why not but kindly always feel
    free to go ahead ready do
    """.split()  # noqa: SIM905 - the same
)
# A bare verb after a comma may be a noun ("delivery, returns"); these words mark a verb.
_FOLLOWERS = frozenset(
    """
    a an all around at back by down for from her here his how in into it more my now on online
    our out over round some that the them these this those through to today together up us what
    when where which with your yourself
    """.split()  # noqa: SIM905 - the same
)
_INVITATION = re.compile(
    r"\b(?:we(?: would|['\u2019]d) (?:love|like|be (?:happy|glad|delighted)) (?:for you )?to"
    r"|we (?:invite|encourage|welcome) you to|you(?: are|['\u2019]re) (?:very )?welcome to"
    r"|you (?:can|may)(?: also| now| always| simply)? \w+"
    r"|(?:click|tap) (?:here|below|the)|why (?:not|don['\u2019]t you) \w+|how about \w+ing)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;:\N{EN DASH}\N{EM DASH}]|\s-\s|\band\b|\bthen\b")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")


def asks_to_act(body: str) -> bool:
    """Whether a body has a call to action: an imperative or an invitation."""
    return any(
        _is_imperative(sentence.text) or _INVITATION.search(sentence.text)
        for sentence in texts.sentences(texts.without_citations(body))
    )


def _is_imperative(sentence: str) -> bool:
    words = _leading_words(sentence)
    if words and words[0] in _VERBS:
        return True
    clauses = map(_leading_words, _CLAUSE.split(sentence)[1:])
    return any(
        clause[0] in _VERBS and clause[1] in _FOLLOWERS for clause in clauses if len(clause) > 1
    )


def _leading_words(clause: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(clause)]
    while words and words[0] in _LEADING_WORDS and words[0] not in _VERBS:
        words.pop(0)
    return words
