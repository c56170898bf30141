"""Runs: who was asked, what became of each stage, which lines were audited."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What would change a port's reply: provider, model, version, corpus."""

    provider: str
    model: str = ""
    version: str = ""
    corpus: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """What became of one stage.

    Attributes:
        status: done | unfinished (it holds failures of a provider and is run again).
        key: equal key, equal outcome: the stage is kept.
        outputs: the files it wrote, with their digests.
    """

    name: str
    status: str
    key: str
    outputs: Mapping[str, str]
    seconds: float
    finished_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPosition:
    """A place in the audit log: `line` lines, the header among them, end at byte `offset`."""

    line: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRange:
    """The lines of one run in the audit log; lines of other runs may stand between them.

    Attributes:
        first, last: line numbers in the file, from 1 for the header; 0 where there is none.
        count: lines of this run.
        head: the hash of line `last`.
        since: a place before `first`, where the next append begins to look for what is there.
    """

    run_id: str
    first: int = 0
    last: int = 0
    count: int = 0
    head: str = ""
    since: AuditPosition = AuditPosition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was said to whom, and how it came about; run.json.

    Attributes:
        status: running | unfinished | complete | no_experiment | waiting.
        fingerprint: of `fingerprint_parts`.
        fingerprint_parts: what shapes the run, by name: inputs, the configuration that shapes
            results, the adapters' identities, the code. Two runs with equal parts are the same.
        valid_on: the UTC date that documents' validity is judged on, of the first start.
        inputs: digests of customers, content and engagement.
        measurements: how many earlier measurements lie in measurements/.
        metered_calls: calls paid for, that the ledger must know of.
        deviations: how the present measurement deviates from the analysis plan, in words.
        campaign: what its readers need to know of the configuration: `brand`, and the safety
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
    """The present moment as ISO-8601 in UTC, to the millisecond, with a Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
