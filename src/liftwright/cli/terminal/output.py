"""Output on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json as encoding
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from liftwright.log import logs_to_stderr
from liftwright.model import to_json

if TYPE_CHECKING:
    from liftwright.model import Json

_PIPE_WIDTH = 120


def console() -> Console:
    """The console for stdout; silent if JSON lines are logged to stderr instead."""
    # A pipe has no width; rich's default of 80 columns would truncate the tables.
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, highlight=False, quiet=logs_to_stderr())


def print_json(value: object) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(encoding.dumps(to_json(value), ensure_ascii=False, indent=2) + "\n")


def print_line(value: Json) -> None:
    """Print one line of JSON to stdout."""
    sys.stdout.write(encoding.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
