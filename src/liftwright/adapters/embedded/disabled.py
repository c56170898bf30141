"""Ports that need no one: telemetry that goes nowhere, tracking that run.json already is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from liftwright.ports import Span


class NoTelemetry:
    """The port `telemetry`, off."""

    def start(self, span: Span) -> None:
        """Nothing is recorded."""

    def end(self, span: Span) -> None:
        """Nothing is recorded."""

    def close(self) -> None:
        """Nothing is left to send."""


class JsonTrack:
    """The port `track` without a tracker: run.json and metrics.json are the record."""

    def __call__(self, run: Mapping[str, object], folder: Path, /) -> None:
        """The run's folder holds all there is to record."""
