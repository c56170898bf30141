"""Environment variables in configuration files: `${NAME}` and `${NAME:-default}`.

`$${` is a literal `${`. The values come from the environment or from the workspace's `.env` file.
"""

from __future__ import annotations

import os
import re
import typing
from typing import TYPE_CHECKING

from liftwright.config.validation_errors import alternatives, inner_types
from liftwright.config.yaml import resolve_scalar
from liftwright.errors import ConfigurationError, hide_secret

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Mapping, Sequence

    from liftwright.config.yaml import Path

_REFERENCE = re.compile(r"\$\$\{|\$\{[^}]*\}?")
_VALID = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SECRET = re.compile(
    r"(^|_)(KEYS?|SECRETS?|TOKENS?|PASS(WORD|WD|PHRASE)?|PWD|SAS|SIG(NATURE)?|CREDENTIALS?"
    r"|CONNECTION_STRING|DSN)(_|$)",
    re.IGNORECASE,
)


def environment(root: pathlib.Path) -> dict[str, str]:
    """The variables of the workspace's `.env` file; the environment's take precedence."""
    from dotenv import dotenv_values

    file = root / ".env"
    stored = dotenv_values(file, interpolate=False) if file.is_file() else {}
    return {**{key: value for key, value in stored.items() if value is not None}, **os.environ}


class Variables:
    """Replaces references in configuration by the values of variables.

    Args:
        known: the variables' values by name.

    Attributes:
        used: the values that were inserted, with the reference to each.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known
        self.used: dict[str, str] = {}

    def expand(self, text: str, where: str) -> str:
        """A text with the values of its variables; an empty variable counts as not set.

        Args:
            text: may contain references.
            where: file and key, for the message.

        Raises:
            ConfigurationError: a variable is not set and has no default, or a reference is
                malformed.
        """

        def value(match: re.Match[str]) -> str:
            reference = match[0]
            if reference == "$${":
                return "${"
            valid = _VALID.fullmatch(reference)
            if valid is None:
                raise ConfigurationError(
                    f"{where}: found {reference!r}, allowed: ${{NAME}} or ${{NAME:-default}}; "
                    "write $${ for a literal ${"
                )
            name, default = valid.groups()
            given = self._known.get(name)
            if default is not None and not given:
                return str(default)
            if given is None:
                raise ConfigurationError(
                    f"{where}: found ${{{name}}}, which is set neither in the environment nor in "
                    ".env; set the variable, or add a default: ${" + name + ":-value}"
                )
            self.used[given] = f"${{{name}}}"
            if _SECRET.search(name):
                hide_secret(given, f"${{{name}}}")
            return given

        return _REFERENCE.sub(value, text)

    def expand_lines(self, text: str, file: pathlib.Path) -> str:
        """A text file's content with the values of its variables."""
        lines = text.split("\n")
        return "\n".join(self.expand(line, f"{file}:{n}") for n, line in enumerate(lines, start=1))

    def expand_tree(self, data: object, shape: object, where: Callable[[Path], str]) -> object:
        """A copy of a file's data with the values of its variables.

        A value becomes a number, true, false or null where the key takes one and no text.

        Args:
            data: parsed YAML.
            shape: the type of the whole.
            where: gives file and key of a path.
        """

        def replace(value: object, path: Path, kinds: Sequence[object]) -> object:
            if isinstance(value, dict):
                return {
                    key: replace(v, (*path, key), inner(kinds, key)) for key, v in value.items()
                }
            if isinstance(value, list):
                return [replace(v, (*path, i), inner(kinds, i)) for i, v in enumerate(value)]
            if not isinstance(value, str) or not _REFERENCE.search(value):
                return value
            return _typed(self.expand(value, where(path)), kinds)

        def inner(kinds: Sequence[object], part: str | int) -> list[object]:
            return [one for kind in kinds for one in inner_types(kind, part)]

        return replace(data, (), [shape])

    def without_values(self, message: str) -> str:
        """A message with references in place of the values, any of which may be secret."""
        for value in sorted(filter(None, self.used), key=len, reverse=True):
            message = message.replace(repr(value), repr(self.used[value]))
            if len(value) > 3:  # noqa: PLR2004 - shorter ones are parts of words
                message = message.replace(value, self.used[value])
        return message


def _typed(text: str, kinds: Sequence[object]) -> object:
    """The text as a value of one of these types."""
    options = alternatives(kinds)
    value = resolve_scalar(text)
    if value is None:
        return None if type(None) in options else text
    takes_text = any(
        option is str or (typing.get_origin(option) is typing.Literal and text in option.__args__)  # type: ignore[attr-defined]
        for option in options
    )
    takes_value = any(option in (int, float, bool) for option in options)
    return value if takes_value and not takes_text else text


__all__ = ["Variables", "environment"]
