"""Whether one statement follows from another: each difference between them, judged by its kind.

A claim that is close to a statement of a source differs from it by a few edits. Most edits change
nothing ("get" for "receive", a part left out). An edit that changes what is said is a fault:
another value, subject, unit or period, a limit that was dropped, a negation, a wider quantifier.
The idea is that of natural logic (MacCartney and Manning, 2009), with word classes in place of a
grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from liftwright.agents.grounding.tokens import (
    ALTERNATIVES,
    DENIED,
    DENYING,
    LEXICAL_OPPOSITES,
    LIGHT,
    OPPOSITES,
    VERBS,
    Token,
    key,
)
from liftwright.text import KnownValues

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from liftwright.agents.grounding.statements import Limit, Statement
    from liftwright.text import Value

_CARRIED = 0.7
_LEAST = 0.35
_REST = 0.2
_HALF = 0.5
_LONGEST_TOPIC = 5
_WIDTH = {"some": 1, "most": 2, "all": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A difference that changes what is said.

    Attributes:
        kind: value, subject, limit, negation, denied, supposed, quantifier, comparator, period,
            opposite, direction or word.
        reason: what the source says instead, in words.
        certain: whether it refutes the claim; else the claim is weak at most.
        keys: what of the claim it is about.
    """

    kind: str
    reason: str
    certain: bool = True
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A claim held against one statement: how much of it is there, and what differs."""

    coverage: float
    faults: tuple[Fault, ...]

    @property
    def rank(self) -> float:
        """Orders comparisons: the closest one decides, a slightly less close one without faults."""
        certain = sum(fault.certain for fault in self.faults)
        return (
            self.coverage
            - 0.04 * bool(self.faults)
            - 0.03 * bool(certain)
            - 0.01 * len(self.faults)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Premise:
    """A statement of a source with what stands around it.

    Attributes:
        statement: the clause.
        carried: keys that an unbroken chain before it gives to its subject.
        title: keys of the source's title and headings.
        sentence: the sentence's place among all.
        joined: neighbouring words written as one ("super bowl" as "superbowl").
    """

    statement: Statement
    sentence: int
    carried: frozenset[str] = frozenset()
    title: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    later: tuple[Limit, ...] = ()


def compare(
    claim: Statement, premise: Premise, known: Collection[str], subjects: frozenset[str],
    weight: Mapping[str, float],
) -> Comparison:  # fmt: skip
    """Hold a claim against a statement.

    Args:
        claim: one clause of the claim, with the keys of its whole sentence as `said`.
        premise: one clause of a source.
        known: every key that the sources hold anywhere.
        subjects: every key of what they speak of.
        weight: how much each key counts.
    """
    return _Comparer(claim, premise, known, subjects, weight).run()


def _is_opposite(word: str, others: Collection[str]) -> bool:
    """Whether any of the others means the contrary of a word."""
    return any(
        (word in one and not other.isdisjoint(others))
        or (word in other and not one.isdisjoint(others))
        for one, other in OPPOSITES
    )


def _opposed() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for pair in LEXICAL_OPPOSITES:
        for mine, theirs in (pair, pair[::-1]):
            for word in mine:
                found[word] = found.get(word, frozenset()) | theirs
    return found


_TURNED = _opposed()


class _Comparer:
    def __init__(
        self, claim: Statement, premise: Premise, known: Collection[str],
        subjects: frozenset[str], weight: Mapping[str, float],
    ) -> None:  # fmt: skip
        self.claim, self.premise, self.known = claim, premise, known
        self.subjects, self.weight = subjects, weight
        self.source = premise.statement
        self.held = KnownValues([t.value for t in self.source.said if t.value])
        self.content = [t for t in claim.said if t.key and t.key not in LIGHT]
        names = self.source.keys | _limiting(self.source)
        anaphoric = self.source.refers_back or not self.source.subject
        overlap = bool(self.source.subject & claim.subject) or anaphoric
        self.scope = (
            names | premise.carried | (premise.title if overlap or anaphoric else frozenset())
        )
        self.turned = _are_turned(_compared(claim), _compared(self.source))
        self.compounds = frozenset(
            part.key
            for one, other in pairwise(claim.tokens)
            if one.key and other.key and key(one.text + other.text) in self.scope
            for part in (one, other)
        )
        self.unmatched = [t for t in self.content if not self._matches(t)]
        total = sum(map(self._weight, self.content)) or 1.0
        self.coverage = 1 - sum(map(self._weight, self.unmatched)) / total

    def _weight(self, token: Token) -> float:
        return self.weight.get(token.key, 1.0) * (2.0 if token.value else 1.0)

    def _said(self, source: str, claim: str) -> str:
        return f"the source says {source}{self._topic}, not {claim}"

    @property
    def _topic(self) -> str:
        """What the claim speaks of, as part of a reason: " for the Beck tent"."""
        words = [t.text.title() if t.name else t.text for t in self.claim.tokens
                 if t.key in self.claim.subject]  # fmt: skip
        return f" for the {' '.join(words)}" if words and len(words) <= _LONGEST_TOPIC else ""

    def _matches(self, token: Token) -> bool:
        if token.value:
            return self.held.hold(token.value)
        return (
            token.key in self.scope
            or token.key in self.premise.joined
            or token.key in self.turned | self.compounds
        )

    def run(self) -> Comparison:
        if not self.content or self.coverage < _LEAST:
            return Comparison(coverage=self.coverage, faults=())
        faults = list(self._faults())
        # What is far from the source in other ways, too, is no edit of it; likeness judges that.
        explained = frozenset[str]().union(*(fault.keys for fault in faults))
        total = sum(map(self._weight, self.content)) or 1.0
        rest = sum(self._weight(token) for token in self.unmatched if token.key not in explained)
        if rest > _REST * total:
            return Comparison(coverage=self.coverage, faults=())
        unique = {fault.kind: fault for fault in reversed(faults)}
        return Comparison(coverage=self.coverage, faults=tuple(reversed(unique.values())))

    def _faults(self) -> Iterator[Fault]:
        yield from self._values()
        yield from self._subject()
        yield from self._words()
        yield from self._polarity()
        yield from self._void()
        yield from self._dropped()
        yield from self._quantity()
        yield from self._direction()

    # Values

    def _values(self) -> Iterator[Fault]:
        for sequence in _sequences(self.claim):
            for place, token in enumerate(sequence):
                if token.value is not None:
                    yield from self._value(sequence, place, token, token.value)

    def _value(
        self, sequence: Sequence[Token], place: int, token: Token, value: Value
    ) -> Iterator[Fault]:
        if not self.held.hold(value):
            same = next(
                (t.value for t in self.source.said if t.value and t.value.kind == value.kind), None
            )
            if same:
                reason = self._said(same.text, value.text)
                yield Fault(kind="value", reason=reason, keys=frozenset({token.key}))
            return
        mine = self._governors(sequence, place)
        fault: Fault | None = None
        for other, theirs in self.bindings:
            if other.value and KnownValues([other.value]).hold(value):
                fault = self._misbound(token, other, mine, theirs)
                if fault is None:
                    return
        if fault is not None:
            yield fault

    @cached_property
    def bindings(self) -> list[tuple[Token, frozenset[str]]]:
        """The values of the source, each with the words that it belongs to."""
        return [
            (token, self._governors(tokens, place))
            for tokens in _sequences(self.source)
            for place, token in enumerate(tokens)
            if token.value
        ]

    def _misbound(
        self, token: Token, other: Token, mine: Collection[str], theirs: Collection[str]
    ) -> Fault | None:
        value = token.value.text if token.value else ""
        for governor in mine:
            if governor in theirs or governor not in self.scope:
                continue
            for rival, words in self.bindings:
                same_kind = rival.value and token.value and rival.value.kind == token.value.kind
                if rival is not other and same_kind and governor in words:
                    said = rival.value.text if rival.value else ""
                    return Fault(kind="value", reason=self._said(said, value))
        if token.period != other.period and (
            token.period or (other.value and other.value.kind == "money")
        ):
            said = f"per {other.period}" if other.period else "without a period"
            return Fault(kind="period", reason=f"the source says {value} {said}")
        pair = {token.comparator, other.comparator}
        if len(pair) > 1 and not self._same_comparator(token, other):
            return Fault(kind="comparator", reason=f"the source limits {value} in another way")
        if other.about and not token.about:
            return Fault(kind="comparator", reason=f"the source says about {value}", certain=False)
        return None

    @staticmethod
    def _same_comparator(token: Token, other: Token) -> bool:
        mine, theirs = token.comparator, other.comparator
        kind = token.value.kind if token.value else ""
        if kind in {"date", "time"} or "until" in (mine, theirs) or "since" in (mine, theirs):
            return (
                mine == theirs
                or (kind == "date" and not mine and theirs == "until")
                or (kind == "duration" and {mine, theirs} <= {"less", "until", ""})
            )
        # Within 30 days and 30 days are one limit; "from £78" is no price.
        return kind == "duration" and {mine, theirs} == {"less", ""}

    @staticmethod
    def _governors(tokens: Sequence[Token], place: int) -> frozenset[str]:
        """The words that a value belongs to: the nearest before it, and what it counts."""
        found = set()
        for spot in range(place - 1, -1, -1):
            token = tokens[spot]
            if token.value:
                break
            if token.key:
                found.add(token.key)
                break
            if token.text in {"from", "to", "instead", "not"}:
                found.add(token.text)
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if following is not None and following.key not in VERBS and not following.value:
            found.add(following.key)
        return frozenset(found - {""})

    # Words

    def _subject(self) -> Iterator[Fault]:
        mine = self.claim.subject - LIGHT
        theirs = self.source.subject | self.premise.carried
        # Without another subject in its place, the chain of what is spoken of is not known.
        if (
            not mine
            or not theirs - self.claim.keys
            or self.coverage < _HALF
            or self.source.possessive
        ):
            return
        absent = {
            t.key for t in self.unmatched
            if t.key in mine and (t.key in self.subjects or (t.name and t.key in self.known))
        }  # fmt: skip
        names = next((t.text for t in self.claim.tokens if t.key in absent), "")
        if absent:
            yield Fault(kind="subject", reason=f"the source does not say this of {names}",
                        keys=frozenset(absent))  # fmt: skip
        elif mine <= self.subjects and not mine & theirs and not mine & self.source.keys:
            yield Fault(kind="subject", reason="the source says this of another thing", keys=mine)

    def _words(self) -> Iterator[Fault]:
        extra = self.source.keys - self.claim.keys
        compared = _compared(self.claim) and _compared(self.source)
        yield from self._turned()
        for token in self.unmatched:
            if token.value:
                continue
            about = frozenset({token.key})
            if not compared and _is_opposite(token.key, extra):
                reason = f"the source says the opposite of {token.text}"
                yield Fault(kind="opposite", reason=reason, keys=about)
            another = any(token.key in group and extra & group for group in ALTERNATIVES)
            elsewhere = token.key in self.known
            if another or (token.name and elsewhere) or self._replaces(token):
                reason = f"the source does not say {token.text} here"
                certain = another or token.name or elsewhere
                yield Fault(kind="word", reason=reason, keys=about, certain=certain)

    def _turned(self) -> Iterator[Fault]:
        """Whether a preposition before a word gives way to its opposite: "before", "after"."""
        theirs = _prepositions(self.source)
        for word, said in _prepositions(self.claim).items():
            for name in said - theirs.get(word, said):
                against = _TURNED.get(name, frozenset()) & theirs[word]
                if against:
                    yield Fault(
                        kind="opposite", reason=f"the source says {min(against)}, not {name}"
                    )

    def _replaces(self, token: Token) -> bool:
        """Whether another word of the source stands where this one stands in the claim."""
        place = self.content.index(token)
        theirs = [t.key for t in self.source.tokens if t.key and t.key not in LIGHT]
        left = self.content[place - 1].key if place else None
        right = self.content[place + 1].key if place + 1 < len(self.content) else None
        begin = theirs.index(left) + 1 if left in theirs else (0 if left is None else -1)
        if begin < 0:
            return False
        end = next(
            (i for i in range(begin, len(theirs)) if theirs[i] == right),
            len(theirs) if right is None else -1,
        )
        if end < 0:
            return False
        mine = {t.key for t in self.content}
        between = theirs[begin:end]
        return 0 < len(between) <= 2 and not mine & set(between)  # noqa: PLR2004 - a word, or two

    def _polarity(self) -> Iterator[Fault]:
        mine, theirs = _denied(self.claim), _denied(self.source)
        if mine and theirs and mine <= self.source.keys and theirs <= self.claim.keys:
            return
        if theirs & (self.claim.keys | _limiting(self.claim)) - mine:
            yield Fault(kind="negation", reason="the source denies it")
        elif (mine - theirs) & (self.scope | _limiting(self.source)):
            yield Fault(kind="negation", reason="the source says it without a negation")

    def _void(self) -> Iterator[Fault]:
        dropped = self.source.voided - self.claim.voided - self.claim.keys
        if dropped & (DENYING | {DENIED}):
            yield Fault(kind="denied", reason="the source denies it")
        elif dropped:
            yield Fault(kind="supposed", reason="the source only supposes it")
        if (self.claim.voided - self.source.voided) & (DENYING | {DENIED}) - self.source.keys:
            yield Fault(kind="denied", reason="the source does not deny it")
        if self.source.modal and not self.claim.modal and not self.claim.voided:
            yield Fault(
                kind="supposed", reason="the source says only that it may be so", certain=False
            )

    def _dropped(self) -> Iterator[Fault]:
        said = self.claim.keys | {name for limit in self.claim.limits for name in limit.keys}
        values = [t.value for t in self.claim.said if t.value]
        for limit in (*self.source.limits, *self.premise.later):
            if limit.is_modifier and (
                self.claim.definite or self.source.head not in self.claim.subject
            ):
                continue
            if self.source.past and not limit.is_modifier:
                continue
            if not limit.keys or self._carries(limit, said, KnownValues(values)):
                continue
            yield Fault(kind="limit", reason=f"the source limits it: {limit.words}")

    def _carries(self, limit: Limit, said: Collection[str], held: KnownValues) -> bool:
        for token in self.source.said:
            if token.value and token.key in limit.keys and not held.hold(token.value):
                return False
        if limit.words.startswith("except") and limit.tokens:
            # "Included in the one rate but not in the other" does not limit the first.
            last = next((t.key for t in reversed(limit.tokens) if t.key), "")
            if last in said:
                return True
        kept = sum(name in said for name in limit.keys)
        # With its value there, the rest of a limit is detail: "within 30 days of delivery".
        share = _HALF if any(" " in name for name in limit.keys) else _CARRIED
        return kept >= share * len(limit.keys)

    def _quantity(self) -> Iterator[Fault]:
        mine, theirs = self.claim.quantifier, self.source.quantifier
        if theirs in {"some", "most"} and _WIDTH.get(mine, 3) > _WIDTH[theirs]:
            yield Fault(kind="quantifier", reason=f"the source says it of {theirs} only")
        elif mine == "all" and not theirs and self._is_wider():
            yield Fault(kind="quantifier", reason="the source does not say it of all")
        elif (
            mine
            and not theirs
            and mine != "some"
            and not (mine == "all" and not self.source.definite)
        ):
            yield Fault(kind="quantifier", reason=f"the source does not say {mine}", certain=False)
        adverb = {t.period for t in self.claim.tokens if t.period and not t.value}
        rate = {t.period for t in self.source.tokens if t.period}
        if adverb and rate and not adverb & rate:
            yield Fault(kind="period", reason=f"the source says per {min(rate)}")

    def _is_wider(self) -> bool:
        """Whether the claim says of everyone, or of both, what is said of one."""
        first = self.claim.tokens[0].text if self.claim.tokens else ""
        return bool(self.source.subject) and (first == "both" or not self.claim.subject)

    def _direction(self) -> Iterator[Fault]:
        mine, theirs = _compared(self.claim), _compared(self.source)
        if mine is None or theirs is None:
            return
        turned = bool(self.turned)
        if mine[1] != theirs[1] and not turned:
            return
        left, right = mine[0] - mine[2], mine[2] - mine[0]
        first, second = theirs[0] - theirs[2], theirs[2] - theirs[0]
        crossed = bool(left & second) or bool(right & first)
        straight = bool(left & first) or bool(right & second)
        if (crossed and not straight and not turned) or (straight and not crossed and turned):
            yield Fault(kind="direction", reason="the source compares them the other way round")


def _sequences(statement: Statement) -> Iterator[Sequence[Token]]:
    """The tokens of a statement, and of each limit that stands apart from it."""
    yield statement.tokens
    mine = set(map(id, statement.tokens))
    for limit in statement.limits:
        if any(id(token) not in mine for token in limit.tokens):
            yield limit.tokens


def _prepositions(statement: Statement) -> dict[str, set[str]]:
    """The words of direction that stand before each thing."""
    found: dict[str, set[str]] = {}
    waiting: set[str] = set()
    for token in statement.said:
        if token.text in _TURNED:
            waiting.add(token.text)
        if token.key:
            if waiting:
                found.setdefault(token.key, set()).update(waiting)
            waiting = set()
    return found


def _denied(statement: Statement) -> frozenset[str]:
    return statement.denied.union(*(limit.denied for limit in statement.limits))


def _limiting(statement: Statement) -> frozenset[str]:
    return frozenset[str]().union(*(limit.keys for limit in statement.limits))


Compared = tuple[frozenset[str], str, frozenset[str]]


def _compared(statement: Statement) -> Compared | None:
    """What stands before `than`, the word compared by, and what stands after."""
    words = [token.text for token in statement.tokens]
    if "than" not in words[1:]:
        return None
    place = words.index("than", 1)
    before = frozenset(t.key for t in statement.tokens[: place - 1] if t.key and t.key not in VERBS)
    after = frozenset(t.key for t in statement.tokens[place + 1 :] if t.key)
    return before, key(words[place - 1]), after


def _are_turned(mine: Compared | None, theirs: Compared | None) -> frozenset[str]:
    """The word by which one compares in the opposite sense of the other."""
    if mine is None or theirs is None or not _is_opposite(mine[1], {theirs[1]}):
        return frozenset()
    return frozenset({mine[1]})
