"""A sentence as statements: what is said of what, with which values, and under which limits.

A sentence is divided into clauses. A clause that leaves its subject or verb out takes them from the
clause before. What a value belongs to, its comparator ("over", "until") and its period ("a month")
are read with it. There is no parser behind this, only word classes (`lexicon.toml`) and position:
marketing copy and terms are short, and ADR-010 says what else was tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from liftwright.agents.grounding.tokens import (
    AUXILIARY,
    CLAUSAL,
    CONDITIONAL,
    COORDINATOR,
    DEFINITE,
    DENIED,
    DENYING,
    DETERMINER,
    GAIN,
    INTENDED,
    IRREGULAR,
    MARKS,
    MOST,
    NEGATION,
    OFFER,
    PERHAPS,
    PREPOSITION,
    PRESENT,
    PRONOUN,
    READER,
    REPEATED,
    REPORTING,
    RESTRICTING,
    SOME,
    SUBORDINATOR,
    SUPPOSED,
    SUPPOSING,
    UNIVERSAL,
    VERBS,
    Token,
    negates,
    tokenise,
)
from liftwright.text import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LABEL = 6
# What is longer is a list or data without stops; it is judged by likeness alone.
_LONGEST_SENTENCE = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A phrase that limits what a clause says: when, for whom, on which orders."""

    words: str
    keys: frozenset[str]
    tokens: tuple[Token, ...] = ()
    denied: frozenset[str] = frozenset()
    is_modifier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One clause.

    Attributes:
        tokens: its words in order, with what it takes from the clause before.
        subject: the keys of what it speaks of; empty where only a pronoun does.
        refers_back: whether its subject is a pronoun, left out, or named before ("the tent").
        limits: each phrase that limits it.
        voided: the words by which it is denied or only supposed, and none of it is said.
        denied: the keys of what is negated in it.
        quantifier: `all`, `most`, `some` or empty, of its subject.
        definite: whether its subject is a particular one ("the tent").
    """

    tokens: tuple[Token, ...]
    subject: frozenset[str] = frozenset()
    head: str = ""
    refers_back: bool = False
    limits: tuple[Limit, ...] = ()
    voided: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    quantifier: str = ""
    definite: bool = False
    modal: bool = False
    past: bool = False
    possessive: bool = False
    keys: frozenset[str] = field(default=frozenset())

    @property
    def said(self) -> Iterator[Token]:
        """Its tokens, and those of limits that stand apart from it."""
        yield from self.tokens
        mine = set(map(id, self.tokens))
        for limit in self.limits:
            yield from (token for token in limit.tokens if id(token) not in mine)

    @property
    def values(self) -> Iterator[tuple[int, Token]]:
        """Its values and where they stand."""
        return ((place, token) for place, token in enumerate(self.tokens) if token.value)


@lru_cache(maxsize=16_384)
def read_statements(sentence: str) -> tuple[Statement, ...]:
    """The statements of a sentence, in order; none of one that is too long to be prose."""
    if len(sentence) > _LONGEST_SENTENCE:
        return ()
    tokens = tokenise(normalise(sentence))
    return tuple(_Reader(tokens, is_question=sentence.rstrip().endswith("?")).read())


PLURAL = frozenset({"who", "which", "people", "children", "men", "women", ",", "also", "not"})
RELATIVE = frozenset({"who", "which", "that"})


def _is_word(token: Token) -> bool:
    return bool(token.value) or token.text[:1].isalnum()


class _Reader:
    """Divides the tokens of one sentence into clauses."""

    def __init__(self, tokens: Sequence[Token], *, is_question: bool) -> None:
        self.tokens, self.is_question = tokens, is_question

    def read(self) -> Iterator[Statement]:
        before: Statement | None = None
        shared: list[Limit] = []
        voided: frozenset[str] = frozenset()
        if self.is_question:
            voided = frozenset({"?"})
        for begin, end, kind in self._spans():
            tokens = self.tokens[begin:end]
            if not any(token.is_content for token in tokens):
                continue
            if kind in {"limit", "closing"}:
                shared.append(_limit(tokens))
                continue
            inherits = kind in {"vp", "gap", "rel"}
            following = self.tokens[end].text if end < len(self.tokens) else ""
            own = frozenset(self._voids(begin, end, following))
            if following in {"that", "whether"} and any(negates(t) for t in tokens):
                own |= {DENIED}
            elif following == "that" and any(t.text in {"may", "might", "could"} for t in tokens):
                own |= {"may"}
            # What supposes or denies speaks of what follows it: a complement, or the same subject.
            inherited = voided if kind in {"vp", "that", "gap"} or (before is None) else frozenset()
            if self.is_question:
                inherited |= {"?"}
            voided = inherited | own
            statement = _statement(
                tokens, before if inherits else None, kind, tuple(shared), voided
            )
            yield statement
            before = statement

    def _spans(self) -> Iterator[tuple[int, int, str]]:
        """Where each clause stands, limits that follow their clause put before it."""
        if not self.tokens:
            return
        cuts = [(0, "main")]
        for place in range(1, len(self.tokens)):
            kind = self._begins(place, cuts[-1][0])
            if kind:
                cuts.append((place, kind))
        ends = [*(place for place, _ in cuts[1:]), len(self.tokens)]
        spans = [(begin, end, kind) for (begin, kind), end in zip(cuts, ends, strict=True)]
        first = spans[0]
        opening = self.tokens[first[0]]
        if (
            len(spans) > 1
            and spans[1][2] != "closing"
            and self._limits_the_rest(*first[:2], spans[1])
        ):
            spans[0] = (*first[:2], "limit")
        elif (
            opening.text in CONDITIONAL | SUBORDINATOR - {"that", "who", "which"} and len(spans) > 1
        ):
            spans[0] = (*first[:2], "limit" if opening.text in CONDITIONAL else "main")
        ordered: list[tuple[int, int, str]] = []
        for span in spans:
            if span[2] == "closing" and ordered and ordered[-1][2] != "closing":
                ordered.insert(len(ordered) - 1, (*span[:2], "limit"))
            else:
                ordered.append(span)
        yield from ordered

    def _limits_the_rest(self, begin: int, end: int, following: tuple[int, int, str]) -> bool:
        """Whether a first clause is a condition: "Spend £60 and …", "For members, …"."""
        tokens = self.tokens[begin:end]
        opening = tokens[0]
        is_order = (
            opening.key in VERBS and not opening.text.endswith(("s", "ed", "ing"))
            and not any(t.text in AUXILIARY for t in tokens)
        )  # fmt: skip
        joined = self.tokens[following[0]].text
        if is_order and joined in {"and", ","}:
            gains = self.verb(following[0] + 1, following[1])
            return following[2] == "own" or (
                following[2] == "vp" and gains is not None and self.tokens[gains].key in GAIN
            )
        if joined == ":" and len(tokens) <= _LABEL:
            return opening.text in PREPOSITION or any(t.text == "only" for t in tokens)
        return opening.text in PREPOSITION and joined == "," and not self.verb(begin, end)

    def verb(self, begin: int, end: int) -> int | None:
        """Where the first finite verb of a stretch stands."""
        relative = False
        for place in range(begin, end):
            if self.tokens[place].text in RELATIVE and place > begin:
                relative = True
            elif self._is_verb(place, begin, end):
                following = self.tokens[place + 1].text if place + 1 < end else ""
                if not relative or following == "not" or not self._has_verb_after(place, end):
                    return place
                # The verb of "members who spend £50" is not that of the clause.
                if self.tokens[place].text not in AUXILIARY:
                    relative = False
        return None

    def _has_verb_after(self, place: int, end: int) -> bool:
        return any(
            t.text in AUXILIARY
            or (t.key in VERBS and not t.name and not t.value and not t.text.endswith(("ed", "ing"))
                and self.tokens[i - 1].text not in DETERMINER | PREPOSITION)
            for i, t in enumerate(self.tokens[place + 1 : end], place + 1)
        )  # fmt: skip

    def _voids(self, begin: int, end: int, following: str) -> Iterator[str]:
        """The words of a clause by which it, or what follows it, is not said."""
        for place in range(begin, end):
            token = self.tokens[place]
            after = self.tokens[place + 1].text if place + 1 < end else following
            if token.text in PERHAPS:
                yield token.text
            elif token.key in SUPPOSING | DENYING and token.key in VERBS | SUPPOSING:
                if self._acts(place, begin, end):
                    yield token.key
            elif token.key in DENYING or (
                token.key in SUPPOSED
                and (after == "that" or following in {"that", "whether"}
                     or (after == "to" and token.key in INTENDED))
            ):  # fmt: skip
                yield token.key

    def _acts(self, place: int, begin: int, end: int) -> bool:
        """Whether a word that is a noun as well is a verb here."""
        before = self.tokens[place - 1].text if place > begin else ""
        word = self.tokens[place].text
        return (
            before in AUXILIARY | {"to"} | READER or word.endswith("ing")
            or self._is_verb(place, begin, end) or (place == begin and not word.endswith("s"))
        )  # fmt: skip

    def _is_verb(self, place: int, begin: int, end: int) -> bool:  # noqa: PLR0911 - one rule after the other
        token = self.tokens[place]
        if token.text in AUXILIARY or token.text.endswith("n't"):
            return True
        if token.key not in VERBS or token.value or token.name or token.text.endswith("ing"):
            return False
        previous = self.tokens[place - 1] if place > begin else None
        following = self.tokens[place + 1] if place + 1 < end else None
        if following is not None and (following.text in AUXILIARY or following.text == "of"):
            return False
        if previous is None or previous.text in MARKS:
            return not token.text.endswith(("s", "ed"))
        if previous.value:
            # "who spend £50 receive a voucher", but "5 returns".
            return (
                following is not None
                and not token.text.endswith("s")
                and (following.text in DETERMINER or following.value is not None)
            )
        if previous.text in DETERMINER | PREPOSITION:
            return previous.text in {"that", "this", "who", "which"}
        past = token.text.endswith("ed") or token.text in IRREGULAR
        if past:
            return not self._has_verb_after(place, end)
        if token.text.endswith("s"):
            return previous.is_content or previous.text in PRONOUN | COORDINATOR | {
                "which",
                "who",
                ",",
            }
        # A base form follows a plural, a pronoun or an adverb.
        return (
            previous.text.endswith(("s", "ly")) or previous.text in READER | PRONOUN | COORDINATOR
            or previous.text in PLURAL
        )  # fmt: skip

    def _begins(self, place: int, start: int) -> str:  # noqa: C901, PLR0911 - the same
        """What kind of clause begins at a token, after one that began at `start`; or empty."""
        token = self.tokens[place]
        previous = self.tokens[place - 1]
        if token.text in MARKS:
            return "own"
        if previous.text in MARKS and place - 1 == start:
            return ""
        following = self.tokens[place + 1] if place + 1 < len(self.tokens) else None
        if token.text in {"that", "whether"} and self._is_complement(place, start):
            return "that"
        if token.text == "once" and following is not None and following.text in REPEATED:
            return ""
        if token.text in CLAUSAL and (following is None or not following.value) and place > start:
            if previous.text in COORDINATOR and place - 1 == start:
                return ""
            if token.text in {"provided", "providing"} and not (
                previous.text == ","
                or (following is not None and following.text in {"that", "you"})
            ):
                return ""
            return "closing"
        if token.text == "but" and following is not None and following.text == "only":
            return "closing"
        if token.text in {"because", "although", "though"}:
            return "own"
        if token.text in {"which", "who", "where"} and previous.text == ",":
            return "rel"
        if token.text == "," or (token.text in COORDINATOR and previous.text != ","):
            return self._coordinated(place, start)
        return ""

    def _is_complement(self, place: int, start: int) -> bool:
        last = self.tokens[place - 1]
        reports = last.key in SUPPOSING | SUPPOSED | DENYING | REPORTING or last.text in {
            "be",
            "is",
            "it",
            "see",
        }
        return place > start and (self.tokens[place].text == "whether" or reports)

    def _coordinated(self, place: int, start: int) -> str:  # noqa: PLR0911 - one rule after the other
        begin = place + 1
        while begin < len(self.tokens) and self.tokens[begin].text in COORDINATOR | {
            "also",
            "then",
            "therefore",
            "now",
            "just",
        }:
            begin += 1
        end = next(
            (i for i in range(begin, len(self.tokens))
             if self.tokens[i].text == "," or self.tokens[i].text in MARKS
             or (i > begin and self.tokens[i].text in COORDINATOR | CONDITIONAL | RELATIVE)),
            len(self.tokens),
        )  # fmt: skip
        if begin >= end:
            return ""
        verb = self.verb(start, place)
        own = self.verb(begin, end)
        first = self.tokens[begin]
        if verb is None:
            leads = self.tokens[start].text in PREPOSITION | CONDITIONAL | SUBORDINATOR
            return (
                "own"
                if own is not None and own > begin and leads and self.tokens[place].text == ","
                else ""
            )
        if first.text == "only":
            return ""
        acts = first.key in VERBS and not first.name and not first.value
        if (
            acts
            and not any(t.text in AUXILIARY for t in self.tokens[begin + 1 : end])
            and (begin + 1 >= end or self.tokens[begin + 1].key not in VERBS)
        ):
            return "vp"
        if own == begin or (first.key in VERBS and first.text.endswith("ed") and verb is not None):
            return "vp"
        if own is not None and (first.text not in PREPOSITION or self.tokens[place].text != ","):
            return "own"
        return "gap" if own is None and self._is_gapped(begin, end, start, place) else ""

    def _is_gapped(self, begin: int, end: int, start: int, place: int) -> bool:
        """Whether a verb is left out: "tops start at £78 and socks at £9"."""
        spots = [i for i in range(begin, end) if self.tokens[i].value]
        if not spots or spots[0] == begin:
            return False
        kind = self.tokens[spots[0]].value.kind  # type: ignore[union-attr]
        named = [t for t in self.tokens[begin : spots[0]] if t.is_content]
        alike = any(t.value and t.value.kind == kind for t in self.tokens[start:place])
        return bool(named) and alike and self.tokens[begin].text not in PREPOSITION


def _limit(tokens: Sequence[Token], *, is_modifier: bool = False) -> Limit:
    return Limit(
        words=" ".join(token.text for token in tokens if _is_word(token)),
        keys=frozenset(token.key for token in tokens if token.key),
        tokens=tuple(tokens),
        denied=_denied(tokens),
        is_modifier=is_modifier,
    )


def _statement(
    tokens: Sequence[Token], before: Statement | None, kind: str, shared: tuple[Limit, ...],
    voided: frozenset[str],
) -> Statement:  # fmt: skip
    reader = _Reader(tokens, is_question=False)
    start = next((i for i, t in enumerate(tokens) if _is_word(t) and t.text not in COORDINATOR), 0)
    if kind == "that":
        start += 1
    verb = reader.verb(start, len(tokens))
    subject = list(tokens[start:verb]) if verb is not None else []
    if verb is None and kind == "gap":
        spot = next((i for i, t in enumerate(tokens) if t.value), len(tokens))
        subject = list(tokens[start:spot])
    whole = list(tokens)
    limits = [*shared, *_limits(tokens[start:], past=_is_past(tokens, verb))]
    named = [t for t in subject if t.is_content]
    refers = any(t.text in PRONOUN for t in subject) and not named
    definite = any(t.text in DEFINITE for t in subject)
    keys = frozenset(t.key for t in named)
    head = _head(subject)
    if kind in {"vp", "rel"} and before is not None:
        keys, head, definite = before.subject, before.head, before.definite
        limits += [limit for limit in before.limits if limit.is_modifier or limit in shared]
        whole = [t for t in before.tokens if t.key in before.subject] + whole
        refers = before.refers_back
    elif kind == "gap" and before is not None:
        carried = [t for t in before.tokens if t.key and t.key not in before.subject and not t.value
                   and t.key in VERBS]  # fmt: skip
        whole = carried + whole
    else:
        limits += _modifiers(subject, definite=definite)
    return Statement(
        tokens=tuple(whole),
        subject=keys,
        head=head,
        refers_back=refers or (not keys and kind != "gap"),
        limits=tuple(limits),
        voided=voided,
        denied=_denied(tokens),
        quantifier=_quantifier(tokens, len(subject) + start),
        definite=definite,
        past=_is_past(tokens, verb),
        possessive=any(t.text in {"her", "his", "its", "their"} for t in subject),
        modal=any(t.text in {"may", "might", "could"} for t in tokens),
        keys=frozenset(t.key for t in whole if t.key),
    )


def _is_past(tokens: Sequence[Token], verb: int | None) -> bool:
    if verb is None or any(
        t.text in PRESENT or (t.key in VERBS and t.text.endswith("s") and i > verb)
        for i, t in enumerate(tokens)
    ):
        return False
    text = tokens[verb].text
    return text in {"was", "were", "had", "did"} or (text.endswith("ed") and text not in AUXILIARY)


def _head(subject: Sequence[Token]) -> str:
    head = ""
    for token in subject:
        if head and (token.text in PREPOSITION or token.text in {"who", "that", "which", ","}):
            break
        if token.is_content and not token.value:
            head = token.key
    return head


def _quantifier(tokens: Sequence[Token], end: int) -> str:
    for place, token in enumerate(tokens[: max(min(end, 3), 1)]):
        if token.text in MOST:
            following = tokens[place + 1].text if place + 1 < len(tokens) else ""
            if following.endswith("s") or following in {"of", "people", "children", "women", "men"}:
                return "most"
        if token.text in SOME:
            return "some"
        if token.text in UNIVERSAL:
            return "all"
    return ""


def _denied(tokens: Sequence[Token]) -> frozenset[str]:
    """The first thing that stands after each negation."""
    found = set()
    for place, token in enumerate(tokens):
        if negates(token):
            scope = next((t.key for t in tokens[place + 1 : place + 6] if t.is_content), "")
            if scope:
                found.add(scope)
    return frozenset(found)


def _limits(tokens: Sequence[Token], *, past: bool) -> Iterator[Limit]:
    """The phrases of a clause that limit it."""
    place = 0
    while place < len(tokens):
        token = tokens[place]
        previous = tokens[place - 1].text if place else ""
        if (
            token.text in CONDITIONAL - CLAUSAL
            and place
            and not (token.text == "only" and previous in {"the", "an"})
        ):
            skipped = place + 1 < len(tokens) and tokens[place + 1].text in NEGATION
            end = _phrase_end(tokens, place + 1 + skipped)
            yield _limit(tokens[place:end])
            place = end
        elif token.text in PREPOSITION | {"exceeding"} and place + 1 < len(tokens):
            end = _phrase_end(tokens, place + 1)
            phrase = tokens[place + 1 : end]
            offers = any(t.key in OFFER or t.text == "free" for t in tokens)
            if _restricts(token, phrase, past=past) or (
                offers and token.text in {"in", "at", "for", "from"} and any(t.name for t in phrase)
            ):
                yield _limit(tokens[place:end])
            place = max(place + 1, end)
        elif token.value and token.comparator and place:
            yield _limit([token])
            place += 1
        else:
            place += 1


def _restricts(preposition: Token, phrase: Sequence[Token], *, past: bool) -> bool:  # noqa: PLR0911 - one rule after the other
    if any(t.text in UNIVERSAL for t in phrase):
        return False
    value = next(
        (t for t in phrase if t.value and t.comparator),
        next((t for t in phrase[:3] if t.value), None),
    )
    if value is not None and value.value is not None:
        if value.value.kind in {"date", "time"}:
            return not past and preposition.text not in {"on", "in", "at", "of"}
        if value.value.kind == "code":
            return True
        return bool(value.comparator)
    if preposition.text in {"of", "to", "as", "by", "than", "like", "per"}:
        return False
    if preposition.text in {
        "for",
        "on",
        "with",
        "in",
        "at",
        "from",
        "during",
        "under",
        "over",
        "via",
        "through",
    }:
        return any(t.key in RESTRICTING for t in phrase)
    return not past and preposition.text in {"until", "till", "before", "after", "without"}


def _phrase_end(tokens: Sequence[Token], start: int) -> int:
    for place in range(start, len(tokens)):
        token = tokens[place]
        if token.text in MARKS or token.text == ",":
            return place
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if following is not None and following.comparator in {"more", "less"}:
            continue
        if (
            place > start
            and (token.text in PREPOSITION | CONDITIONAL | AUXILIARY)
            and token.text != "of"
        ):
            return place
    return len(tokens)


def _modifiers(subject: Sequence[Token], *, definite: bool) -> Iterator[Limit]:
    """What narrows a general subject: "online orders", "children under 5", "kit that was lent"."""
    head = _head(subject)
    if not head:
        return
    spot = max(i for i, t in enumerate(subject) if t.key == head and not t.value)
    before = [t for t in subject[:spot] if t.is_content and not t.value]
    after = [t for t in subject[spot + 1 :] if t.is_content]
    named = any(t.name for t in subject)
    if not definite:
        named_from = next(
            (i for i, t in enumerate(before) if t.name), len(before) if not named else 0
        )
        for token in before[:named_from]:
            yield _limit([token], is_modifier=True)
    if after and not definite:
        yield _limit(after, is_modifier=True)
