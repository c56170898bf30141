"""Runs: identities of adapters, results of stages, and the lines of the audit log."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Names everything that would change an adapter's reply to the same request."""

    provider: str
    model: str = ""
    version: str = ""
    corpus: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """The result of one stage.

    Attributes:
        status: done | unfinished (a provider failed; the stage runs again).
        key: the fingerprint of everything that shapes the outputs; if it is equal, the stage is
            kept.
        outputs: the files that the stage wrote, with their digests.
    """

    name: str
    status: str
    key: str
    outputs: Mapping[str, str]
    seconds: float
    finished_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPosition:
    """A position in the audit log: after `line` lines, header included, at byte `offset`."""

    line: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRange:
    """The lines of one run in the audit log, possibly interleaved with those of other runs.

    Attributes:
        first, last: line numbers in the file; the header is line 1. 0 if there are no lines.
        count: the number of lines of this run.
        head: the hash of line `last`.
        since: a position before `first`, from which the next append scans for existing lines.
    """

    run_id: str
    first: int = 0
    last: int = 0
    count: int = 0
    head: str = ""
    since: AuditPosition = AuditPosition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """run.json: the status, inputs and results of a run.

    Attributes:
        status: running | unfinished | complete | no_experiment | waiting.
        fingerprint: of `fingerprint_parts`.
        fingerprint_parts: everything that shapes the run, by name: inputs, the configuration that
            affects results, the adapters' identities, the code. Runs with equal parts are the same.
        valid_on: the UTC date of the first start; documents must be valid on it.
        inputs: digests of customers, content and engagement.
        measurements: the number of earlier measurements in measurements/.
        metered_calls: paid calls, which the ledger must also have.
        deviations: how the current measurement deviates from the analysis plan, in words.
        campaign: the configuration that readers of the run need: `brand`, and the safety
            `thresholds` by category.
    """

    run_id: str
    status: str
    fingerprint: str
    fingerprint_parts: Mapping[str, object] = field(default_factory=dict)
    started_at: str
    valid_on: date
    seed: int
    simulated: bool
    overrides: Mapping[str, object]
    inputs: Mapping[str, str]
    versions: Mapping[str, str]
    stages: tuple[StageRun, ...] = ()
    finished_at: str | None = None
    reason: str | None = None
    extends: str | None = None
    measurements: int = 0
    metered_calls: int = 0
    deviations: tuple[str, ...] = ()
    campaign: Mapping[str, object] = field(default_factory=dict)
    totals: Mapping[str, object] = field(default_factory=dict)
    audit: AuditRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm of the experiment: `control` or a tone, and its share of each segment."""

    name: str
    share: float


def utc_now() -> str:
    """The current time in UTC as ISO 8601, to the millisecond, with a Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
