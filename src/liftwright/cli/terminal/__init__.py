"""Terminal output: progress and tables for people, JSON for programs."""

from __future__ import annotations

from liftwright.cli.terminal.analysis import show_analysis, show_power
from liftwright.cli.terminal.answers import (
    show_approval,
    show_checks,
    show_evaluation,
    show_files,
    show_grounded,
    show_health,
    show_import,
    show_index,
    show_init,
    show_passages,
    show_plan,
    show_screened,
    show_search_lines,
    show_verification,
)
from liftwright.cli.terminal.output import print_json, print_line
from liftwright.cli.terminal.progress import Progress
from liftwright.cli.terminal.runs import show_run, show_runs, show_status

__all__ = [
    "Progress",
    "print_json",
    "print_line",
    "show_analysis",
    "show_approval",
    "show_checks",
    "show_evaluation",
    "show_files",
    "show_grounded",
    "show_health",
    "show_import",
    "show_index",
    "show_init",
    "show_passages",
    "show_plan",
    "show_power",
    "show_run",
    "show_runs",
    "show_screened",
    "show_search_lines",
    "show_status",
    "show_verification",
]
