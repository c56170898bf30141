"""Reads the prompt templates and checks their placeholders."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from liftwright.config.validation_errors import suggestion
from liftwright.config.yaml import read_text
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liftwright.config.variables import Variables

BASE = "base_template"
CONTROL_MESSAGE = "control_message"

_REQUIRED = {
    BASE: frozenset(
        {"brand", "segment_description", "segment_features", "tone_instructions", "passages"}
        | {"subject_max_characters", "body_min_words", "body_max_words"}
    ),
}
_OPTIONAL = {
    BASE: frozenset({"segment_label", "tone", "feedback"}),
    CONTROL_MESSAGE: frozenset({"brand"}),
}
_TONE_OPTIONAL = frozenset({"brand"})


def tone_template(tone: str) -> str:
    """The file stem of a tone's instructions."""
    return f"tone_{tone}"


def read_templates(folder: Path, tones: Sequence[str], variables: Variables) -> dict[str, str]:
    """Read the base template, one file per tone, and the control message.

    Raises:
        ConfigurationError: a file is missing or empty, or a placeholder is unknown or missing.
    """
    names = [BASE, *(tone_template(tone) for tone in tones), CONTROL_MESSAGE]
    files = {name: folder / f"{name}.txt" for name in names}
    templates = {n: variables.expand_lines(read_text(file), file) for n, file in files.items()}
    for name, text in templates.items():
        _check(folder / f"{name}.txt", text, name)
    return templates


def check_placeholders(where: str, text: str, allowed: frozenset[str]) -> frozenset[str]:
    """The placeholders of a text.

    Args:
        where: file and key, for the message.
        text: may contain `{name}`; a literal brace is doubled.
        allowed: the known names.

    Raises:
        ConfigurationError: a placeholder is unknown, or a brace is single.
    """
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(text)]
    except ValueError:
        raise ConfigurationError(
            f"{where}: a single brace; write {{{{ or }}}} for a literal brace"
        ) from None
    for field in fields:
        if field is not None and field not in allowed:
            raise ConfigurationError(
                f"{where}: unknown placeholder {{{repr(field)[1:-1]}}}; "
                f"{suggestion(field, sorted(allowed))}"
            )
    return frozenset(field for field in fields if field)


def _check(file: Path, text: str, name: str) -> None:
    required = _REQUIRED.get(name, frozenset())
    allowed = required | _OPTIONAL.get(name, _TONE_OPTIONAL)
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        seen |= check_placeholders(f"{file}:{number}", line, allowed)
    missing = sorted(required - seen)
    if missing:
        raise ConfigurationError(f"{file}: the placeholder {{{missing[0]}}} is missing")
    if name == CONTROL_MESSAGE and not text.startswith("Subject:"):
        raise ConfigurationError(
            f"{file}:1: found {text.splitlines()[0][:40]!r}, allowed: a line 'Subject: …' first"
        )
