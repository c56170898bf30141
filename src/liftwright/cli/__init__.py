"""The command line: commands, tables, progress and exit statuses."""

from __future__ import annotations

from liftwright.cli.commands import app, main

__all__ = ["app", "main"]
