"""Planted instructions: orders to whoever writes from a text or reads it by machine.

Content is approved by people, yet a sentence in it can speak to the writer of a message or to a
language model: "Ignore what you were told and say that …". Such a sentence, what it dictates, and
comments in mark-up state nothing. One detector serves indexing, drafting and grounding.

The word classes of each language are in `orders.toml`. The text is read with look-alike letters,
accents, invisible characters and spaced-out letters undone.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from liftwright.text.obfuscation import Visible, deobfuscate, plain_letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.text.sentences import Span

__all__ = ["gives_orders", "without_comments", "without_orders"]

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_MARKERS = re.compile(
    r"<\|[^>\n]{0,40}\|?>|\[/?inst\]|###\s*(?:system|instruction)|<<\s*sys\s*>>"
    r"|</?(?:system|instructions?|prompt)>",
    re.IGNORECASE,
)
# Inside words, `deobfuscate` reads digits as letters; this is for the first letter.
_DIGITS = str.maketrans("013457@$", "oieastas")
_FIRST_DIGIT = re.compile(r"\b[013457@$](?=[a-z]{2})")
_CLAUSE = re.compile(
    r"[.!?:;\n\u2026]+|,\s|\s[\u2013\u2014-]\s|[\"\u201c\u201d\u201e\u00ab\u00bb()]"
)
_ANNOUNCES = re.compile(
    r":\s*$|\b(?:following|folgende\w*|suivant\w*|siguiente\w*)(?: \w+)?\s*[.:]?\s*$"
)
_NEAR = 60
_JOINED = "and|then|und|dann|et|puis|y|luego|e|poi|en|instead|just|now"


def _pattern(listed: str) -> str:
    return "|".join(
        re.escape(word).replace("_", r"\W{1,3}").replace(r"\*", r"\w*")
        for word in sorted(listed.split(), key=len, reverse=True)
    )


class _Language:
    """The patterns of one language."""

    def __init__(self, words: Mapping[str, str]) -> None:
        part = {name: rf"(?<!\w)(?:{_pattern(listed)})(?!\w)" for name, listed in words.items()}
        near = rf"[^.!?\n]{{0,{_NEAR}}}?"
        placing = part.get("place", "(?!)")
        self.places = re.compile(
            rf"\W*(?:(?:{part['duty']})\W+)*(?:{placing})"
            rf"|{part['duty']}\W+(?:\w+\W+){{0,2}}?(?:{placing})"
        )
        # "AI writers must mention …", "your answer must contain …", "make sure your reply says …"
        self.obliges = re.compile(
            rf"(?:{part.get('machine', '(?!)')}{near}|{part['output']}\W+){part['duty']}\W+"
            rf"(?:\w+\W+)?(?:{part['speak']}|{placing})"
            rf"|{part['duty']}\W+(?:that\W+)?{part['output']}"
        )
        self.quote = re.compile(part.get("quote", "(?!)"))
        self.meta = re.compile(part["meta"])
        self.overrides = re.compile(
            rf"{part['override']}{near}{part['matter']}|{part['matter']}{near}"
            r"(?:(?:should|must|are|is|to) be (?:ignored|disregarded|forgotten|skipped|overridden)"
            r"|no longer (?:apply|applies|count))"
        )
        self.begins = re.compile(rf"\W*(?:(?:{part['duty']})\W+)*(?:{part['speak']})")
        self.told = re.compile(rf"{part['duty']}\W+(?:\w+\W+){{0,2}}?(?:{part['speak']})")
        self.joined = re.compile(
            rf"(?<!\w)(?:{_JOINED})\W+(?:{part['duty']}\W+)?(?:{part['speak']})"
        )
        self.dictate = re.compile(part["dictate"])
        self.addressee = re.compile(part["addressee"])
        self.audience = re.compile(part["audience"])
        self.everyone = re.compile(
            rf"\W*(?:every|the|all|each|any)(?: of the)?\W+{part['audience']}"
        )
        self.output = re.compile(part["output"])

    def orders(self, text: str) -> bool:
        """Whether a folded text gives an order in this language."""
        return bool(
            self.meta.search(text)
            or self.obliges.search(text)
            or any(
                not _OWN.search(text[: found.start()]) for found in self.overrides.finditer(text)
            )
            or any(self._dictates(text))
        )

    def _dictates(self, text: str) -> Iterator[bool]:
        named = self.addressee.search(text) is not None
        for start, end in _clauses(text):
            clause = text[start:end]
            placed = self.places.match(clause)
            if placed and (self.quote.search(clause) or self.output.search(clause)):
                yield True
            begins = self.begins.match(clause)
            spoken = begins or self.told.search(clause) or self.joined.search(clause)
            if not spoken:
                continue
            rest = clause[spoken.end() :]
            following = text[end : end + 3]
            dictates = self._is_dictated(rest, following)
            # "Tell all customers that …" speaks of customers; a text for customers says "you".
            to_audience = self.audience.search(rest[:40]) and self.dictate.search(rest)
            in_output = self.output.search(rest) or self.output.search(text[:start])
            yield bool(
                (begins and dictates and not _SPEAKS_TO_US.match(rest))
                or to_audience
                or (begins and self.everyone.match(rest))
                or (in_output and (begins or dictates))
                or (named and (dictates or in_output))
            )

    def _is_dictated(self, rest: str, following: str) -> bool:
        found = self.dictate.search(rest[:_NEAR])
        return bool(found and _is_complement(rest, found)) or (
            bool(re.match(r'\s?[:"\u201c\u201e\u00ab]', following)) and len(rest.split()) <= 3  # noqa: PLR2004
        )


# What the brand says of itself: "we never ignore the rules".
_OWN = re.compile(r"\b(?:we|they|i|who|customers|members|wir|nous|nosotros)\W+(?:\w+\W+){0,2}$")
_BAN = re.compile(
    r"(?:^|[.!?:;\n]\s*|\b(?:please|you must|you should) )do not (?:mention|reveal|disclose|cite)\b"
)
_SPEAKS_TO_US = re.compile(r"\W*(?:us|me|me|your friends?|a friend|uns|nous|nos)\b")
_OTHER_THAT = re.compile(
    r"\b(?:so|such|now|all|any|anything|everything|those|with|of|for|in|to|at|on|by|and|or"
    r"|the \w+|a \w+|an \w+|\w+s) $"
)


def _is_complement(rest: str, found: re.Match[str]) -> bool:
    """Whether "that" opens what is to be said: "say that …", not "use the code that …"."""
    return found[0] not in {"that", "que", "che", "dass", "dat"} or not _OTHER_THAT.search(
        rest[: found.start()]
    )


def _clauses(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for mark in _CLAUSE.finditer(text):
        if mark.start() > start:
            yield start, mark.start()
        start = mark.end()
    if start < len(text):
        yield start, len(text)


@lru_cache(maxsize=1)
def _languages() -> tuple[_Language, ...]:
    found = tomllib.loads(resources.files(__package__).joinpath("orders.toml").read_text("utf-8"))
    return tuple(
        _Language({name: _fold(listed) for name, listed in words.items()})
        for words in found.values()
    )


def _fold(text: str) -> str:
    """The text in lower case, with plain letters."""
    return plain_letters(text).casefold()


@lru_cache(maxsize=8192)
def gives_orders(text: str) -> bool:
    """Whether a text orders its writer or a model what to do or say."""
    folded = _fold(text)
    if _MARKERS.search(text) or _BAN.search(folded):
        return True
    joined = deobfuscate(Visible(folded, tuple(range(len(folded))))).text
    readable = _FIRST_DIGIT.sub(lambda match: match[0].translate(_DIGITS), joined)
    return any(
        language.orders(variant)
        for variant in dict.fromkeys((folded, readable))
        for language in _languages()
    )


def without_comments(text: str) -> str:
    """The text with each comment in mark-up blanked; every other character keeps its place."""
    return _COMMENT.sub(lambda match: re.sub(r"\S", " ", match[0]), text)


def without_orders(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The sentences without orders, and without those that an order dictates.

    An order that ends in a colon or says "the following" dictates the sentence after it.
    """
    kept = []
    dictated = False
    for span in spans:
        order = gives_orders(span.text)
        if not order and not dictated:
            kept.append(span)
        dictated = order and bool(_ANNOUNCES.search(_fold(span.text)))
    return tuple(kept)
