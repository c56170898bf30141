"""The filters that the search service evaluates: the part of OData that is sent to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w.]*(?:/any)?)|(?P<sign>[():,]))"
)
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda one, other: bool(one == other),
    "ne": lambda one, other: bool(one != other),
    "gt": lambda one, other: one is not None and bool(one > other),
    "ge": lambda one, other: one is not None and bool(one >= other),
    "lt": lambda one, other: one is not None and bool(one < other),
    "le": lambda one, other: one is not None and bool(one <= other),
}


class BadFilter(Exception):  # noqa: N818 - reads as the state it reports
    """The filter is none, or names what it may not."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A parsed filter: what it tests, and the fields that it names."""

    test: Test
    fields: frozenset[str]


def parse(text: str) -> Filter:
    """A filter as a test of documents.

    Raises:
        BadFilter: naming what was not expected.
    """
    parser = _Parser(text)
    test = parser.either()
    if parser.peek():
        raise BadFilter(f"{parser.peek()!r} was not expected in {text!r}")
    return Filter(test=test, fields=frozenset(parser.fields))


class _Parser:
    def __init__(self, text: str) -> None:
        self.fields: set[str] = set()
        self._variables: set[str] = set()
        self._tokens: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise BadFilter(f"{text[place:]!r} is no filter")
            self._tokens.append(found[0].strip())
            place = found.end()

    def peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def either(self) -> Test:
        tests = [self._both()]
        while self.peek() == "or":
            self._take()
            tests.append(self._both())
        return lambda document: any(test(document) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self.peek() == "and":
            self._take()
            tests.append(self._one())
        return lambda document: all(test(document) for test in tests)

    def _one(self) -> Test:
        word = self._take()
        if word == "not":
            inner = self._one()
            return lambda document: not inner(document)
        if word == "(":
            inside = self.either()
            self._take(")")
            return inside
        if word == "search.in":
            return self._in()
        if word.endswith("/any"):
            return self._any(word.removesuffix("/any"))
        name, compare = self._field(word), self._take()
        if compare not in _COMPARED:
            raise BadFilter(f"{compare!r} compares nothing")
        value = self._value()
        return lambda document: _COMPARED[compare](document.get(name), value)

    def _in(self) -> Test:
        self._take("(")
        name = self._field(self._take())
        self._take(",")
        values = self._value()
        delimiters = ", "
        if self.peek() == ",":
            self._take(",")
            delimiters = self._value()
        self._take(")")
        wanted = set(re.split(f"[{re.escape(delimiters)}]", values)) - {""}
        return lambda document: document.get(name) in wanted

    def _any(self, name: str) -> Test:
        field = self._field(name)
        self._take("(")
        variable = self._take()
        self._take(":")
        self._variables.add(variable)
        inner = self.either()
        self._variables.discard(variable)
        self._take(")")
        return lambda document: any(inner({variable: item}) for item in document.get(field) or ())

    def _field(self, word: str) -> str:
        if word not in self._variables:
            self.fields.add(word)
        return word

    def _value(self) -> Any:
        word = self._take()
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        known = {"true": True, "false": False, "null": None}
        if word in known:
            return known[word]
        try:
            return float(word)
        except ValueError:
            raise BadFilter(f"{word!r} is no value") from None

    def _take(self, wanted: str = "") -> str:
        word = self._tokens.pop(0) if self._tokens else ""
        if not word or (wanted and word != wanted):
            raise BadFilter(f"{wanted or 'more'!r} expected, {word!r} found")
        return word
