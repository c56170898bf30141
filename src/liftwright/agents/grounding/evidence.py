"""How well sources support a claim: the measures, and the score that joins them.

A claim is compared with windows of one to three neighbouring sentences of each source. The score
is a logistic function of lexical and vector similarity; its coefficients were fitted on one half
of public labelled data and are reported on the other (`benchmarks/grounding.py`). Values and
negation are not left to similarity: they lower the score by rule.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from liftwright.agents.grounding.entailment import Comparison, compare
from liftwright.agents.grounding.premises import read_premises
from liftwright.agents.grounding.statements import read_statements
from liftwright.text import KnownValues, Span, normalise, values, words
from liftwright.text.lexicon import COMMON_TIERS, tiers_named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from liftwright.agents.grounding.entailment import Premise
    from liftwright.agents.grounding.statements import Statement
    from liftwright.text import Value

MEASURES = ("contained", "run", "pairs", "similar", "near", "names", "length")
"""In order: share of the claim's content words (weighted by rarity) that the window holds; longest
run of its words, and share of its word pairs, in the window; cosine to the best sentence, and to
the window; share of its names that no source holds; its length."""

# Fitted by `benchmarks/grounding.py --fit`; signs were fixed beforehand.
INTERCEPT = -2.377
WEIGHTS = (1.241, 0.399, 1.424, 0.969, 0.946, -0.778, 0.102)

_WINDOW = 3
_BEST_WINDOWS = 6
_VERBATIM = 0.999
_REFUTED, _MOST_REFUTED, _DOUBTED, _PROVEN = 0.65, 0.49, 0.65, 0.95
# A paraphrase differs in words, subject and detail and may be true; what is nearly a quotation, or
# short, and differs in these says something else.
_LOOSE = frozenset({"word", "subject", "limit"})
_SHORT, _QUOTED, _PAIRED = 6, 0.65, 0.85
_NEAREST = 12
_UNKNOWN_VALUE, _OTHER_VALUE, _OPPOSED = 0.4, 0.75, 0.5
_OPPOSITE = "the source says it with an opposite or a negation"
_CLEARLY_ALIKE = 0.4
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|[%$\u00a3\u20ac]")
_NEGATIONS = frozenset(
    {"not", "no", "never", "without", "none", "neither", "nor", "cannot", "nothing", "nobody"}
    | {"except", "excluding"}
)
_SCOPE = 4
_NAME = re.compile(r"(?<![.!?:]\s)(?<!^)\b[A-Z][\w'\u2019-]+")
_OPPOSITES = tuple(
    (frozenset(one.split()), frozenset(other.split()))
    for one, other in (
        ("before earlier", "after later"),
        ("minimum least", "maximum most"),
        ("includes included including include", "excludes excluded excluding exclude"),
        ("increase increases increased rise rises", "decrease decreases decreased fall falls"),
        ("always", "never"),
        ("all every", "some"),
        ("free", "pay pays paid charge charges charged cost costs fee"),
        ("more above over", "less under below fewer"),
        ("first", "last"),
        ("open opens", "closed closes"),
        ("with", "without"),
    )
)


def tokens(text: str) -> list[str]:
    """All words of a text and its signs of money and percent, in order, without case."""
    return _TOKEN.findall(normalise(text).replace("\u2019", "'").casefold())


@dataclass(frozen=True)
class Piece:
    """A sentence, or a window of them, read once."""

    text: str

    @cached_property
    def tokens(self) -> list[str]:
        """All its words, in order; a value is one word, equal for equal values."""
        return list(self._read(tokens))

    @cached_property
    def sequence(self) -> list[str]:
        """Its content words, stemmed, and its values, in order."""
        return list(self._read(words))

    @cached_property
    def content(self) -> frozenset[str]:
        """Its content words and values."""
        return frozenset(self.sequence)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Neighbouring content words."""
        return frozenset(itertools.pairwise(self.sequence))

    def _read(self, reader: Callable[[str], list[str]]) -> Iterator[str]:
        reached = 0
        for value in self.values:
            yield from reader(self.text[reached : value.start])
            yield f"{value.kind} {value.canonical}"
            reached = value.end
        yield from reader(self.text[reached:])

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """Its numbers, prices, dates and codes."""
        return values(self.text)

    @cached_property
    def known(self) -> KnownValues:
        """Its values, to look others up in."""
        return KnownValues(self.values)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """What it says, clause by clause."""
        return read_statements(self.text)

    @cached_property
    def tiers(self) -> frozenset[str]:
        """The tiers of membership that it names."""
        return tiers_named(self.text, COMMON_TIERS)

    @cached_property
    def denied(self) -> frozenset[str]:
        """What is denied: the first content word after each negation, stemmed."""
        found = set()
        for place, token in enumerate(self.tokens):
            if token in _NEGATIONS or token.endswith("n't"):
                found.update(words(" ".join(self.tokens[place + 1 : place + 1 + _SCOPE]))[:1])
        return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Neighbouring sentences of one source: which they are among all, and where they stand."""

    piece: Piece
    source: int
    start: int
    end: int
    first: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How well a claim is supported, and by what.

    Attributes:
        score: in [0, 1]; rises with each measure of likeness.
        missing: the first value of the claim that no source holds; None where there is none.
        opposed: whether a source says the opposite.
        refuted: whether the closest statement of the sources says something else.
        reason: what lowers the score, in words.
    """

    score: float
    window: Window | None
    missing: Value | None = None
    reason: str = ""
    opposed: bool = False
    refuted: bool = False
    measures: tuple[float, ...] = ()


class Evidence:
    """The sources of one text: their sentences and windows.

    Args:
        sources: (title, text) of each.
    """

    def __init__(self, sources: Sequence[tuple[str, str]]) -> None:
        self.sentences: list[str] = []
        self.windows: list[Window] = []
        self._premises: list[tuple[int, int, Premise]] = []
        self._titles = [frozenset(words(title)) for title, _ in sources]
        for index, (title, text) in enumerate(sources):
            read = read_premises(title, text)
            spans = read.spans
            first = len(self.sentences)
            self.sentences += [span.text for span in spans]
            self._premises += [(index, first + p.sentence, p) for p in read.premises]
            self.windows += _windows(read.text, spans, index, first)
        self._pieces = [w.piece for w in self.windows if w.size == 1]
        self._title_tiers = [tiers_named(title, COMMON_TIERS) for title, _ in sources]
        self._title_values = [value for title, _ in sources for value in values(title)]
        self._in_titles = KnownValues(self._title_values)
        held = [value for piece in self._pieces for value in piece.values]
        self._known = KnownValues([*held, *self._title_values])
        self._seen_in = Counter(word for piece in self._pieces for word in piece.content)
        self._names = {token for title, text in sources for token in tokens(f"{title} {text}")}

    def nearest(self, claim: Piece, count: int) -> set[int]:
        """The sentences that share most with a claim."""
        shared = [(self._weight(claim.content & p.content), -i) for i, p in enumerate(self._pieces)]
        return {-index for _, index in sorted(shared, reverse=True)[:count]}

    def support(
        self,
        claim: Piece,
        likeness: Callable[[Window], tuple[float, float]],
        within: Collection[int] | None = None,
    ) -> Support:
        """The best support of a claim.

        Args:
            claim: the claim.
            likeness: cosines of the claim and a window: of its best sentence, and of the whole.
            within: only these sources; None is all.
        """
        support = self._likeness(claim, likeness, within)
        if support.window is None:
            return support
        return self._judged(claim, support, within)

    @cached_property
    def _known_keys(self) -> frozenset[str]:
        return frozenset(key for _, _, p in self._premises for key in p.statement.keys | p.title)

    @cached_property
    def _subjects(self) -> frozenset[str]:
        return frozenset(key for _, _, p in self._premises for key in p.statement.subject)

    @cached_property
    def _key_weights(self) -> Mapping[str, float]:
        seen = Counter(key for _, _, p in self._premises for key in p.statement.keys)
        count = len(self._premises)
        return {key: math.log1p((count + 1) / (n + 0.5)) for key, n in seen.items()}

    def _judged(self, claim: Piece, support: Support, within: Collection[int] | None) -> Support:
        """The support as the statements of the sources allow it."""
        found = [self._closest(statement, within) for statement in claim.statements]
        faults = [(place, fault) for place, comparison in found for fault in comparison.faults]
        near = len(claim.content) <= _SHORT or (
            support.measures[1] >= _QUOTED or support.measures[2] >= _PAIRED
        )
        certain = next(
            ((p, f) for p, f in faults if f.certain and (near or f.kind not in _LOOSE)), None
        )
        if certain is not None:
            place, fault = certain
            window = next(
                (w for w in self.windows if w.size == 1 and w.first == place), support.window
            )
            return dataclasses.replace(
                support,
                score=min(support.score * _REFUTED, _MOST_REFUTED),
                window=window,
                refuted=True,
                reason=fault.reason,
            )
        if support.missing is not None:
            return support
        if faults:
            return dataclasses.replace(
                support,
                score=min(support.score, _DOUBTED),
                reason=support.reason or faults[0][1].reason,
            )
        coverage = min((comparison.coverage for _, comparison in found), default=0.0)
        if coverage >= _VERBATIM:
            window = next(
                (w for w in self.windows if w.size == 1 and w.first == found[0][0]), support.window
            )
            return dataclasses.replace(
                support, score=max(support.score, _PROVEN), window=window, reason="", opposed=False
            )
        return support

    def _closest(
        self, statement: Statement, within: Collection[int] | None
    ) -> tuple[int, Comparison]:
        """The statement of the sources that decides on one of the claim, and its sentence."""
        weights = self._key_weights
        ranked = sorted(
            (
                (
                    -sum(
                        weights.get(key, 1.0)
                        for key in statement.keys & (p.statement.keys | p.carried)
                    ),
                    i,
                )
                for i, (source, _, p) in enumerate(self._premises)
                if within is None or source in within
            )
        )[:_NEAREST]
        found = [
            (
                self._premises[i][1],
                compare(statement, self._premises[i][2], self._known_keys, self._subjects, weights),
            )
            for _, i in ranked
        ]
        best = max(
            found, key=lambda item: item[1].rank, default=(0, Comparison(coverage=0.0, faults=()))
        )
        if any(fault.kind == "subject" for fault in best[1].faults):
            # What the source says of the same subject explains more than who else it is true of.
            said = (item for item in found if any(f.kind == "value" for f in item[1].faults))
            return next(said, best)
        return best

    def _likeness(
        self,
        claim: Piece,
        likeness: Callable[[Window], tuple[float, float]],
        within: Collection[int] | None,
    ) -> Support:
        windows = [w for w in self.windows if within is None or w.source in within]
        if not windows or not claim.tokens:
            return Support(score=0.0, window=None, reason="there is no source")
        known = self._known
        if within is not None:
            held = [value for window in windows for value in window.piece.values]
            known = KnownValues([*held, *self._title_values])
        missing = next((v for v in claim.values if not known.hold(v)), None)
        total = self._weight(claim.content) or 1.0
        ranked = sorted(
            windows,
            key=lambda w: (-self._held(claim, w) / total - likeness(w)[1] / 4, w.size, w.start),
        )
        found = [self._judge(claim, w, likeness(w), missing) for w in ranked[:_BEST_WINDOWS]]
        best = max(found, key=lambda support: support.score)
        if best.score >= 1.0 or best.opposed or not any(support.opposed for support in found):
            return best
        # What another sentence denies is not made true by one that merely resembles it.
        return dataclasses.replace(
            best, score=best.score * _OPPOSED, opposed=True, reason=best.reason or _OPPOSITE
        )

    def _judge(
        self, claim: Piece, window: Window, alike: tuple[float, float], missing: Value | None
    ) -> Support:
        piece = window.piece
        run = _longest_run(claim.tokens, piece.tokens) / len(claim.tokens)
        contained = self._share(claim, self._held(claim, window))
        opposed = run < _VERBATIM and contained > _CLEARLY_ALIKE and self._is_opposed(claim, window)
        measures = (
            contained,
            run,
            len(claim.pairs & piece.pairs) / len(claim.pairs) if claim.pairs else contained,
            *alike,
            self._unknown_names(claim),
            min(len(claim.content) / 20, 2.0),
        )
        score = 1.0 if run >= _VERBATIM else _logistic(measures)
        reason = ""
        if opposed:
            score, reason = score * _OPPOSED, _OPPOSITE
        elsewhere = next((v for v in claim.values if not piece.known.hold(v)), None)
        if missing is not None:
            score = score * _UNKNOWN_VALUE
            reason = f"{missing.text!r} stands in no source"
        elif elsewhere is not None and not self._in_titles.hold(elsewhere):
            score = score * _OTHER_VALUE
            reason = f"{elsewhere.text!r} does not stand with the rest in the source"
        tier = min(claim.tiers - piece.tiers - self._title_tiers[window.source], default=None)
        if tier is not None:
            score = score * _UNKNOWN_VALUE
            reason = reason or f"the source does not say this of {tier}"
        return Support(
            score=score,
            window=window,
            missing=missing,
            reason=reason,
            opposed=opposed,
            measures=measures,
        )

    def _held(self, claim: Piece, window: Window) -> float:
        # A paragraph leaves out what its title says; the title counts, but less than the text.
        text = self._weight(claim.content & window.piece.content)
        title = (claim.content & self._titles[window.source]) - window.piece.content
        return text + 0.7 * self._weight(title)

    def _weight(self, found: Collection[str]) -> float:
        count = len(self._pieces)
        return sum(math.log1p((count + 1) / (self._seen_in[word] + 0.5)) for word in found)

    def _share(self, claim: Piece, weight: float) -> float:
        return weight / total if (total := self._weight(claim.content)) else 1.0

    def _unknown_names(self, claim: Piece) -> float:
        names = [name for found in _NAME.findall(claim.text) for name in tokens(found)]
        return sum(name not in self._names for name in names) / len(names) if names else 0.0

    def _is_opposed(self, claim: Piece, window: Window) -> bool:
        inside = self._pieces[window.first : window.first + window.size]
        best = max(inside, key=lambda piece: self._weight(claim.content & piece.content))
        if (claim.denied - best.denied) & best.content or (
            best.denied - claim.denied
        ) & claim.content:
            return True
        mine, theirs = set(claim.tokens) - set(best.tokens), set(best.tokens) - set(claim.tokens)
        return any(
            (mine & one and theirs & other) or (mine & other and theirs & one)
            for one, other in _OPPOSITES
        )


def _windows(text: str, spans: Sequence[Span], source: int, first: int) -> Iterator[Window]:
    for begin in range(len(spans)):
        for size in range(1, min(_WINDOW, len(spans) - begin) + 1):
            start, end = spans[begin].start, spans[begin + size - 1].end
            if size > 1 and any(
                map(str.isalpha, text[spans[begin + size - 2].end : spans[begin + size - 1].start])
            ):
                break
            yield Window(
                piece=Piece(text[start:end]),
                source=source,
                start=start,
                end=end,
                first=first + begin,
                size=size,
            )


def _longest_run(claim: Sequence[str], window: Sequence[str]) -> int:
    """The most words in a row that both have."""
    # With a letter for each word, a search within a text looks for them: whether a longer run
    # begins at a word, and only then how long it is, as all shorter ones are there, too.
    letters = {token: chr(number) for number, token in enumerate(dict.fromkeys(window))}
    within = "".join(map(letters.__getitem__, window))
    unknown = chr(len(letters))
    wanted = "".join(letters.get(token, unknown) for token in claim)
    longest = 0
    for start in range(len(wanted)):
        if start + longest < len(wanted) and wanted[start : start + longest + 1] in within:
            longest = _run_from(start, longest + 1, wanted, within)
    return longest


def _run_from(start: int, known: int, wanted: str, within: str) -> int:
    """How long a run begins at `start`, by halves; one of the `known` length does."""
    there, beyond = known, len(wanted) - start + 1
    while beyond - there > 1:
        middle = min(2 * there, (there + beyond) // 2)
        if wanted[start : start + middle] in within:
            there = middle
        else:
            beyond = middle
    return there


def _logistic(measures: Sequence[float]) -> float:
    total = INTERCEPT + sum(w * m for w, m in zip(WEIGHTS, measures, strict=True))
    return 1 / (1 + math.exp(-total))
