"""What a run is asked, and how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.model import is_url

if TYPE_CHECKING:
    from liftwright.model import Run

COMPLETE, UNFINISHED, WAITING = "complete", "unfinished", "waiting"
NO_EXPERIMENT, RUNNING = "no_experiment", "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What `liftwright run` was asked; paths are relative to the caller's folder.

    Customers and engagement may also be URLs of an object store, as texts.

    Attributes:
        extend: the finished run whose experiment takes in late arrivals; None begins one.
    """

    customers: Path | str | None = None
    content: Path | None = None
    engagement: Path | str | None = None
    run_id: str | None = None
    as_of: str | None = None
    budget_usd: float | None = None
    refresh: bool = False
    extend: str | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended, and where its files lie.

    Attributes:
        exit_status: 0 complete · 1 no experiment, or waiting · 3 a provider, or the budget.
        reason: why it is not complete; None where it is.
    """

    run: Run
    folder: Path
    exit_status: int
    reason: str | None = None


def place_text(place: Path | str) -> str:
    """A path made absolute, or a URL as it is."""
    return str(place) if is_url(str(place)) else str(Path(place).absolute())


def overrides_of(request: RunRequest) -> tuple[str, ...]:
    """The request's options as overrides of the configuration, recorded like those of `--set`."""
    options = {
        "customers.path": request.customers and place_text(request.customers),
        "experiment_config.content.path": request.content and str(request.content.absolute()),
        "customers.as_of": request.as_of,
        "azure_config.budget_usd": request.budget_usd,
    }
    # A JSON text is a YAML text: a path with a colon stays one text.
    given = {key: value for key, value in options.items() if value is not None}
    return (*(f"{key}={json.dumps(value)}" for key, value in given.items()), *request.overrides)
