"""The filters that the search service evaluates: the part of OData that the product sends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from azure_server.server import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<field>\w+)/any\((?P<variable>\w+): |(?P<word>[\w.]+)|[(), ]"
)
_PYTHON = {
    "search.in": "is_in",
    "true": "True",
    "false": "False",
    "null": "None",
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "lt": "<",
} | {word: word for word in ("and", "or", "not")}


def parse(text: str, filterable: set[str]) -> Callable[[Mapping[str, Any]], bool]:
    """A filter as a test of documents.

    Raises:
        InvalidRequest: if it cannot be parsed, or names a field that is not filterable.
    """
    variables: set[str] = set()

    def translated(token: re.Match[str]) -> str:
        if token["text"]:
            return repr(token["text"][1:-1].replace("''", "'"))
        if token["field"]:
            variables.add(token["variable"])
            return f"any_of({field(token['field'])}, lambda {token['variable']}: "
        word = token["word"]
        if not word or word in variables or word.isdigit():
            return token[0]
        return _PYTHON.get(word) or field(word)

    def field(name: str) -> str:
        if name not in filterable:
            raise InvalidRequest(f"filter: {name} is not filterable")
        return f"row[{name!r}]"

    if _TOKEN.sub("", text):
        raise InvalidRequest(f"filter: {text!r}")
    source = _TOKEN.sub(translated, text)
    try:
        names = {"is_in": _is_in, "any_of": _any_of, "__builtins__": {}}
        test: Callable[[Mapping[str, Any]], bool] = eval(f"lambda row: {source}", names)  # noqa: S307 - made of the words above
    except SyntaxError:
        raise InvalidRequest(f"filter: {text!r}") from None
    return test


def _is_in(value: str, listed: str, delimiters: str) -> bool:
    return value in set(re.split(f"[{re.escape(delimiters)}]", listed)) - {""}


def _any_of(items: Iterable[str], test: Callable[[str], bool]) -> bool:
    return any(map(test, items))
