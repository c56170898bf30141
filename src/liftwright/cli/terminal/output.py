"""Output on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json as encoding
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from liftwright.model import to_json

if TYPE_CHECKING:
    from liftwright.model import Json

_PIPE_WIDTH = 120


def console() -> Console:
    """The console for stdout."""
    # A pipe has no width; rich's default of 80 columns would truncate the tables.
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(encoding.dumps(to_json(value), ensure_ascii=False, indent=2) + "\n")


def print_line(value: Json) -> None:
    """Print one line of JSON to stdout."""
    sys.stdout.write(encoding.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
