"""Words, values and marks of a sentence, and the word classes by which they are read.

The classes stand in `lexicon.toml`. A comparator ("over", "until"), an approximation ("about") and
a period ("a month") belong to the value that they stand beside.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from liftwright.text import STOPWORDS, stem, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.text import Value

_LEXICON = tomllib.loads(
    resources.files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8")
)
_WORDS: Mapping[str, frozenset[str]] = {
    name: frozenset(listed.split()) for name, listed in _LEXICON["words"].items()
}
IRREGULAR = dict(pair.split("=") for pair in _LEXICON["words"]["irregular"].split())


def _root(word: str) -> str:
    return stem(IRREGULAR.get(word, word))


_ROOTS: dict[str, str] = {}
for _line in _LEXICON["synonyms"]:
    _first, *_rest = _line.split()
    for _word in (_first, *_rest):
        _ROOTS.setdefault(_root(_word.replace("-", "")), _root(_first))


@lru_cache(maxsize=65_536)
def key(word: str) -> str:
    """What stands for a lower-case word: the same for its forms and synonyms."""
    found = _root(word)
    return _ROOTS.get(found, found)


def _keys(name: str) -> frozenset[str]:
    return frozenset(map(key, _WORDS[name]))


AUXILIARY, NEGATION, PRONOUN = _WORDS["auxiliary"], _WORDS["negation"], _WORDS["pronoun"]
UNIVERSAL, MOST, SOME = _WORDS["universal"], _WORDS["most"], _WORDS["some"]
DETERMINER, PREPOSITION = _WORDS["determiner"], _WORDS["preposition"]
COORDINATOR, SUBORDINATOR = _WORDS["coordinator"], _WORDS["subordinator"]
READER, CONDITIONAL, APPROXIMATE = _WORDS["reader"], _WORDS["conditional"], _WORDS["approximate"]
SUPPOSING, SUPPOSED, DENYING = _keys("supposing"), _keys("supposed"), _keys("denying")
PERHAPS, DEFINITE, PRESENT = _WORDS["perhaps"], _WORDS["definite"], _WORDS["present"]
REPEATED, CLAUSAL = _WORDS["repeated"], _WORDS["clausal"]
LIGHT, INTENDED, OFFER = _keys("light"), _keys("intended"), _keys("offer")
GAIN, REPORTING = _keys("gain"), _keys("reporting")
DENIED = "not"
RESTRICTING, VERBS = _keys("restricting"), _keys("verbs")
_QUANTIFIERS = UNIVERSAL | MOST | SOME
_EMPTY = (
    STOPWORDS | AUXILIARY | NEGATION | DETERMINER | PREPOSITION | COORDINATOR | SUBORDINATOR
    | READER | CONDITIONAL | APPROXIMATE | _QUANTIFIERS | PRONOUN
)  # fmt: skip
ALTERNATIVES = tuple(frozenset(map(key, line.split())) for line in _LEXICON["alternatives"])
OPPOSITES = tuple(
    (frozenset(map(key, one.split())), frozenset(map(key, other.split())))
    for one, other in _LEXICON["opposites"]
)
LEXICAL_OPPOSITES = tuple(
    (frozenset(one.split()), frozenset(other.split())) for one, other in _LEXICON["turned"]
)
_PERIODS = {word: name for name, line in _LEXICON["periods"].items() for word in line.split()}
_PHRASES: Mapping[str, str] = _LEXICON["phrases"]
_PHRASE = re.compile(r"(?i)\b(?:" + "|".join(sorted(_PHRASES, key=len, reverse=True)) + r")\b")
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|/(?=\s?[a-z])|[^\w\s]")
MARKS = frozenset(";:()|\u2014\u2013[]")
_COMPARATORS = _LEXICON["comparators"]
_BY_KIND = {
    "date": ("until", "since"), "time": ("until", "since"),
    "duration": ("more", "less", "until", "since"),
}  # fmt: skip
_LONGEST_COMPARATOR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word, a value or a mark.

    Attributes:
        text: in lower case.
        key: what stands for it; empty for marks and for words that name nothing.
        name: whether it is written as a name.
        value: where it is a value.
        comparator: `more`, `less`, `until`, `since` or empty, of a value.
        about: whether a value is said to be approximate.
        period: what a value or a verb is counted by: `month` in "£9 a month", "paid monthly".
    """

    text: str
    key: str = ""
    name: bool = False
    value: Value | None = None
    comparator: str = ""
    about: bool = False
    period: str = ""

    @property
    def is_content(self) -> bool:
        """Whether it names something."""
        return bool(self.key)


def tokenise(sentence: str) -> list[Token]:
    """The tokens of a sentence; a comparator, an approximation and a period go to their value."""
    found: list[Token] = []
    reached = 0
    for value in values(sentence):
        _read_words(sentence[reached : value.start], found, begins=reached == 0)
        found.append(
            Token(text=value.text.lower(), key=f"{value.kind} {value.canonical}", value=value)
        )
        reached = value.end
    _read_words(sentence[reached:], found, begins=reached == 0)
    return _with_comparators(_with_periods(found))


def _read_words(text: str, found: list[Token], *, begins: bool) -> None:
    text = _PHRASE.sub(lambda match: _PHRASES[match[0].lower()], text)
    for match in _TOKEN.finditer(text):
        word = match[0].replace("\u2019", "'")
        lower = word.lower()
        if not word[0].isalnum():
            found.append(Token(text=lower))
            continue
        first = begins and not any(token.text.isalnum() for token in found)
        if lower.endswith("'s") and len(lower) > 2:  # noqa: PLR2004 - more than the ending
            lower = lower[:-2]
        is_empty = (
            lower in _EMPTY or lower.endswith("n't") or (len(lower) == 1 and not word.isupper())
        )
        name = word[0].isupper() and not first and lower not in _EMPTY
        found.append(
            Token(text=lower, key="" if is_empty else key(lower.replace("'", "")), name=name)
        )


def _with_periods(tokens: list[Token]) -> list[Token]:
    """`a month`, `per month`, `each month`, `/month` and `monthly` become a period."""
    kept: list[Token] = []
    for place, token in enumerate(tokens):
        period = _PERIODS.get(token.text.removesuffix("s")) or _PERIODS.get(token.text)
        if period is None or token.value:
            kept.append(token)
            continue
        before = tokens[place - 1].text if place else ""
        adverb = token.text.endswith(("ly", "annual"))
        counted = before in {"per", "/", "each", "every"} or (
            before in {"a", "an"} and place > 1 and _is_counted(tokens, place)
        )
        if not adverb and not counted:
            kept.append(token)
            continue
        if counted:
            kept.pop()
            if kept and kept[-1].text in {"in", "within"}:
                kept.pop()
        target = next(
            (i for i in range(len(kept) - 1, max(-1, len(kept) - 4), -1) if kept[i].value), None
        )
        if target is not None and not adverb:
            kept[target] = replace(kept[target], period=period)
        else:
            kept.append(Token(text=token.text, period=period))
    return kept


def _is_counted(tokens: Sequence[Token], place: int) -> bool:
    return any(
        token.value or token.text in {"once", "twice", "times"}
        for token in tokens[max(0, place - 4) : place - 1]
    )


def _with_comparators(tokens: list[Token]) -> list[Token]:
    found = list(tokens)
    for place, token in enumerate(tokens):
        if token.value is None or token.value.kind == "code":
            continue
        begin = place
        while begin and found[begin - 1].text in APPROXIMATE | {"a", "an", "the", "just", "only"}:
            begin -= 1
        about = any(t.text in APPROXIMATE for t in found[begin:place])
        names = _BY_KIND.get(token.value.kind, ("more", "less"))
        comparator, size = _before(found, begin, names)
        for spot in range(begin - size, begin):
            if found[spot].key and found[spot].key not in VERBS:
                found[spot] = replace(found[spot], key="")
        if not comparator:
            comparator, size = _after(found, place + 1)
            for spot in range(place + 1, place + 1 + size):
                found[spot] = replace(found[spot], key="")
        found[place] = replace(found[place], comparator=comparator, about=about)
    return found


def _before(tokens: Sequence[Token], end: int, names: Sequence[str]) -> tuple[str, int]:
    for size in range(min(_LONGEST_COMPARATOR, end), 0, -1):
        said = " ".join(token.text for token in tokens[end - size : end])
        for name in names:
            if said in _COMPARATORS[name]:
                return name, size
    return "", 0


def _after(tokens: Sequence[Token], start: int) -> tuple[str, int]:
    # "points", "days" and the like may stand between the value and "or more".
    for skip in (0, 1):
        for size in (2, 1):
            said = " ".join(token.text for token in tokens[start + skip : start + skip + size])
            for name in ("more_after", "less_after"):
                if said in _COMPARATORS[name] and (skip == 0 or size > 1):
                    return name.removesuffix("_after"), (skip == 0) * size
    return "", 0


def negates(token: Token) -> bool:
    """Whether a token denies what follows it."""
    return token.text in NEGATION or token.text.endswith("n't")
