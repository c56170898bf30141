"""Reads YAML 1.2 with the line of every key; dates and `no` stay text, keys are unique."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

Path = tuple[str | int, ...]
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
# Aliases multiply: nine lines of YAML can expand to a billion values, or contain themselves.
_MOST_VALUES = 100_000
_DEEPEST = 32
# Python's limit for integers; longer ones become an infinite float, which no key allows.
_MOST_DIGITS = 4300
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A file's values, with the line of each key."""

    file: pathlib.Path
    data: object
    lines: Mapping[Path, int]

    def at(self, path: Path) -> str:
        """`file:line: key`, for the head of a message."""
        return f"{self.where(path)}: {dotted(path)}" if path else self.where(path)

    def where(self, path: Path) -> str:
        """`file:line` of the key, or of its closest parent in the file."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{self.file}:{self.lines[path[:end]]}"
        return str(self.file)


def dotted(path: Path) -> str:
    """A key in dotted form, such as `rules.0.label`; unprintable characters are escaped."""
    key = ".".join(str(part) for part in path)
    return key if key.isprintable() else repr(key)[1:-1]


def read_text(file: pathlib.Path) -> str:
    """A configuration file's text.

    Raises:
        ConfigurationError: it is missing, unreadable, empty or not UTF-8.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file}: no such file; `liftwright init DIR` creates one"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read ({error.strerror})") from None
    if not text.strip():
        raise ConfigurationError(f"{file}: the file is empty")
    return text


def load(text: str, file: pathlib.Path) -> Tree:
    """Parse YAML text.

    Raises:
        ConfigurationError: the text is malformed or repeats a key; the message has the line.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{file}{line}: malformed YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        at = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(
            f"{file}:{at}: malformed YAML: the character U+{error.character:04X} is not allowed"
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{file}: malformed YAML: nested too deeply") from None
    lines: dict[Path, int] = {}
    data = None if node is None else _value(node, (), lines, file)
    if not isinstance(data, dict):
        found = "nothing" if data is None else type(data).__name__
        raise ConfigurationError(f"{file}: found {found}, allowed: a mapping of keys to values")
    return Tree(file=file, data=data, lines=lines)


def parse_value(text: str) -> object:
    """Parse a single YAML value: `0.1`, `true`, `[a, b]`, `text`.

    Raises:
        ValueError: the value is malformed.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return "" if node is None else _value(node, (), {}, None)
    except (yaml.YAMLError, ConfigurationError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _value(
    node: yaml.Node, path: Path, lines: dict[Path, int], file: pathlib.Path | None
) -> object:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > _MOST_VALUES or len(path) > _DEEPEST:
        raise ConfigurationError(
            f"{file}:{node.start_mark.line + 1}: malformed YAML: more than {_MOST_VALUES:,} values "
            f"or {_DEEPEST} levels"
        )
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), lines, file) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        result: dict[str, object] = {}
        for key_node, item in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigurationError(f"{file}:{line}: a key must be text")
            if key in result:
                raise ConfigurationError(f"{file}:{line}: {dotted((*path, key))}: duplicate key")
            lines[(*path, key)] = line
            result[key] = _value(item, (*path, key), lines, file)
        return result
    return _scalar(node)


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if not plain or (node.tag == f"{_TAG}str" and not _FLOAT.match(text)):
        return text
    return resolve_scalar(text)


def resolve_scalar(text: str) -> object:
    """The value of an unquoted scalar: null, a boolean, a number, or the text."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if _INTEGER.match(text) and len(text) <= _MOST_DIGITS:
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
