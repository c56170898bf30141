"""Turns pydantic's list of errors into one plain message."""

from __future__ import annotations

import difflib
import re
import typing
from typing import TYPE_CHECKING

from pydantic import BaseModel

from liftwright.config.yaml import Path, Tree, dotted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from liftwright.config.overrides import Override

_LONGEST_VALUE = 80
# Parts of a URL that may contain a password or a token by mistake.
_USER_IN_URL = re.compile(r"(?<=://)[^/\s]*@")
_QUERY_IN_URL = re.compile(r"(://[^\s?]*\?)[^\s'\"]*")
_ALLOWED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "string_too_short": "text that is not empty",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "date_from_datetime_parsing": "a date, YYYY-MM-DD",
    "date_parsing": "a date, YYYY-MM-DD",
    "date_type": "a date, YYYY-MM-DD",
}


def describe(
    error: ValidationError,
    shape: type[BaseModel],
    data: object,
    tree: Tree,
    changes: Sequence[Override],
) -> str:
    """The first error by position in the file, and the number of further errors."""
    faults: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        faults.setdefault(_path(detail, data), []).append(detail)
    # An error inside a value is more precise than the one on the whole value.
    for outer in [p for p in faults if any(q[: len(p)] == p and q != p for q in faults)]:
        del faults[outer]
    path = min(faults, key=lambda p: (tree.lines.get(p, 0), p == (), str(p)))
    head = key_in_file(path, tree, changes)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{head}: {_sentence(faults[path], path, shape, data)}{more}"


def key_in_file(path: Path, tree: Tree, changes: Sequence[Override]) -> str:
    """File, line and key of a path, or the `--set` that gave its value."""
    for change in changes:
        if path[: len(change.path)] == change.path:
            return f"--set {change.key}: {dotted(path)}"
    return tree.at(path)


def suggestion(word: str, known: Sequence[str]) -> str:
    """`did you mean` the closest known word, or `allowed:` with all of them if none is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(sorted(known))}"


def _sentence(
    details: Sequence[ErrorDetails], path: Path, shape: type[BaseModel], data: object
) -> str:
    kinds = {detail["type"] for detail in details}
    if "extra_forbidden" in kinds:
        model = _model_at(shape, path[:-1])
        known = _keys(model) if model else []
        return f"unknown key; {suggestion(str(path[-1]), known)}"
    if kinds == {"missing"}:
        return "the key is missing and has no default"
    if "value_error" in kinds:
        return details[0]["msg"].removeprefix("Value error, ")
    allowed = dict.fromkeys(_allowed(detail) for detail in details)
    return f"found {_found(_at(data, path))}, allowed: {' or '.join(allowed)}"


def _allowed(detail: ErrorDetails) -> str:
    if detail["type"] in _ALLOWED:
        return _ALLOWED[detail["type"]]
    message = re.sub(r"^(Input|String|List|Tuple) should (be )?", "", detail["msg"])
    return re.sub(r", (input|got) .*$", "", message)


def _found(value: object) -> str:
    text = "null" if value is None else repr(value)
    text = _QUERY_IN_URL.sub(r"\1…", _USER_IN_URL.sub("…@", text))
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


def _path(detail: ErrorDetails, data: object) -> Path:
    """The key's path in the data; pydantic's location also has names of union members."""
    path: list[str | int] = []
    node = data
    last = len(detail["loc"]) - 1
    for index, part in enumerate(detail["loc"]):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif not (index == last and detail["type"] == "missing"):
            continue
        path.append(part)
    return tuple(path)


def _at(data: object, path: Path) -> object:
    for part in path:
        data = data[part]  # type: ignore[index] # the path comes from walking this data
    return data


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(shape: type[BaseModel], path: Path) -> type[BaseModel] | None:
    kinds: list[object] = [shape]
    for part in path:
        kinds = [inner for kind in kinds for inner in inner_types(kind, part)]
    models = [
        kind
        for kind in alternatives(kinds)
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]
    return models[0] if models else None


def inner_types(kind: object, part: str | int) -> list[object]:
    """The possible types of the value at key `part` of a value of type `kind`."""
    inner: list[object] = []
    for option in alternatives([kind]):
        if isinstance(option, type) and issubclass(option, BaseModel):
            if "root" in option.model_fields:
                inner += inner_types(option.model_fields["root"].annotation, part)
                continue
            for name, field in option.model_fields.items():
                if part in (name, field.alias):
                    inner.append(field.annotation)
        elif typing.get_args(option):
            arguments = typing.get_args(option)
            inner.append(arguments[0] if arguments[-1] is Ellipsis else arguments[-1])
    return inner


def alternatives(kinds: Sequence[object]) -> list[object]:
    """The members of unions and the types inside `Annotated`; containers are kept."""
    flat: list[object] = []
    for kind in kinds:
        origin = typing.get_origin(kind)
        if origin is typing.Annotated:
            flat += alternatives(typing.get_args(kind)[:1])
        elif origin is typing.Union or type(kind).__name__ == "UnionType":
            flat += alternatives(typing.get_args(kind))
        else:
            flat.append(kind)
    return flat
