"""Where results go: stdout, as tables for people or JSON for programs."""

from __future__ import annotations

import json as encoding
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from liftwright.model import to_json

if TYPE_CHECKING:
    from liftwright.model import Json

_WIDTH_OF_PIPES = 120


def console() -> Console:
    """The console of stdout."""
    # A pipe has no width; rich's default of 80 columns would cut the tables.
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_PIPES, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(encoding.dumps(to_json(value), ensure_ascii=False, indent=2) + "\n")


def print_line(value: Json) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(encoding.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
