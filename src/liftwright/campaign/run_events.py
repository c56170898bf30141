"""What a run tells others of itself: the log, its span, the tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.segmentation import Segmentation
from liftwright.errors import LiftwrightError
from liftwright.log import event
from liftwright.model import to_json
from liftwright.tracing import span
from liftwright.wiring import endpoints

if TYPE_CHECKING:
    from liftwright.campaign.requests import RunOutcome
    from liftwright.campaign.run_context import Work
    from liftwright.ports import SpanField


def span_fields(outcome: RunOutcome) -> dict[str, SpanField]:
    """What the run's span says of how it ended."""
    run = outcome.run
    return {
        "run_id": run.run_id,
        "outcome": run.status,
        "exit_status": outcome.exit_status,
        "simulated": run.simulated,
        "metered_calls": run.metered_calls,
    }


def track(work: Work) -> None:
    """Tell the tracker; one that fails is a warning, as the run is whole without it."""
    tracker = work.settings.services.adapters.track
    record = to_json(work.run)
    try:
        with span("call", service="track", provider=tracker, metered=False) as one:
            one.set(outcome="unavailable")
            work.ports.track(record if isinstance(record, dict) else {}, work.folder.path)
            one.set(outcome="ok")
    except Exception as error:  # noqa: BLE001 - whatever a third party's tracker raises
        event(
            "run_not_tracked",
            agent="tracking",
            level="warning",
            tracker=tracker,
            error=type(error).__name__,
            # A foreign error's message may hold a secret.
            reason=str(error) if isinstance(error, LiftwrightError) else "",
        )


def tell_start(work: Work) -> None:
    """Tell the log what the run begins with."""
    settings = work.settings
    event(
        "run_started",
        agent="pipeline",
        experiment=settings.experiment.name,
        arms=settings.experiment.arm_shares(),
        adapters=settings.services.adapters.model_dump(),
        customers=_customers(work),
        documents=_documents(work),
        inputs=work.inputs,
        overrides=sorted(settings.overrides),
        configuration=settings.experiment.model_dump(mode="json"),
        endpoints=endpoints(settings.services),
    )


def _customers(work: Work) -> int | None:
    """How many customers the run is about; None where that is not known yet."""
    if work.customers_read:
        return work.customers.rows_kept
    try:
        return work.folder.read("segments.json", Segmentation).customers
    except LiftwrightError:
        # Not written yet, or damaged: the stage that makes it says so, or makes it again.
        return None


def _documents(work: Work) -> int | None:
    return len(work.corpus.documents) if "corpus" in work.__dict__ else None
