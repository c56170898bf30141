"""Reads a finished run's JSON files as records; tables of customers are never read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - a field's type, kept importable for readers

from liftwright.analysis import ExperimentResult
from liftwright.errors import IntegrityError
from liftwright.model import Failure, Passage, SafetyDecision, Segment, Variant, from_json
from liftwright.model.run_files import EngagementRecord, RunFolder, VariantClaims

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The data behind a report.

    Attributes:
        run: the content of run.json; without totals until the run is complete.
        campaign: brand, experiment and other settings of the run; may be empty.
        method: the segmentation method.
        shares: per segment, each arm's share.
        counts: customers assigned, per segment and arm.
        left_out: customers who got no message, by reason.
    """

    folder: Path
    run: Values
    campaign: Values
    method: str
    customers: int
    segments: tuple[Segment, ...]
    segment_warnings: tuple[str, ...]
    passages: Mapping[str, tuple[Passage, ...]]
    control: Variant | None
    variants: tuple[Variant, ...]
    claims: Mapping[str, VariantClaims]
    decisions: tuple[SafetyDecision, ...]
    failures: tuple[Failure, ...]
    experiment: str
    shares: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]
    assignment_warnings: tuple[str, ...]
    outcomes: EngagementRecord
    result: ExperimentResult

    @property
    def run_id(self) -> str:
        """The run's id."""
        return str(self.run.get("run_id", self.folder.name))

    @property
    def simulated(self) -> bool:
        """Whether the engagement was simulated; the default if the files do not say."""
        return bool(self.run.get("simulated", True)) or self.result.simulated is not False

    @property
    def brand(self) -> str:
        """The brand's name; empty if the run does not record it."""
        return str(self.campaign.get("brand") or "")

    def messages(self) -> tuple[Variant, ...]:
        """The control, then the variants in order."""
        return (*((self.control,) if self.control else ()), *self.variants)

    def decision(self, variant_id: str) -> SafetyDecision | None:
        """The decision on a message; None if there is none."""
        return next((d for d in self.decisions if d.variant_id == variant_id), None)


def read_run(folder: Path) -> RunFiles:
    """Read the run in a folder.

    Args:
        folder: data/runs/<run_id> with metrics.json. Optional files may be missing.

    Raises:
        InputError: the run has no results yet.
        IntegrityError: a file is malformed.
    """
    files = RunFolder(folder)
    segmentation = _values(files, "segments.json")
    variants = _values(files, "variants.json")
    arms = _values(files, "arms.json")
    run = _values(files, "run.json")
    try:
        design = _mapping(arms["design"])
        claims = files.read_list("claims.json", VariantClaims) if _has(files, "claims.json") else ()
        return RunFiles(
            folder=folder,
            run=run,
            campaign=_mapping(run.get("campaign") or {}),
            method=str(segmentation["method"]),
            customers=from_json(int, segmentation["customers"]),
            segments=from_json(tuple[Segment, ...], segmentation["segments"]),
            segment_warnings=from_json(tuple[str, ...], segmentation.get("warnings") or []),
            passages=from_json(
                dict[str, tuple[Passage, ...]],
                files.raw("passages.json") if _has(files, "passages.json") else {},
            ),
            control=from_json(Variant, variants["control"]) if variants.get("control") else None,
            variants=from_json(tuple[Variant, ...], variants["variants"]),
            claims={variant.variant_id: variant for variant in claims},
            decisions=files.read_list("decisions.json", SafetyDecision),
            failures=files.read_list("failures.json", Failure)
            if _has(files, "failures.json")
            else (),
            experiment=str(design["salt"]),
            shares=from_json(dict[str, Mapping[str, float]], design["shares"]),
            counts=from_json(dict[str, Mapping[str, int]], arms["counts"]),
            left_out=from_json(dict[str, int], arms.get("left_out") or {}),
            assignment_warnings=from_json(tuple[str, ...], arms.get("warnings") or []),
            outcomes=files.read("engagement.json", EngagementRecord, ignore_unknown=True)
            if _has(files, "engagement.json")
            else EngagementRecord(source="simulated"),
            result=ExperimentResult.from_json(_values(files, "metrics.json")),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{folder}: a file is malformed ({type(error).__name__}: {error}); allowed: the files "
            "of a finished run"
        ) from None


def _has(files: RunFolder, name: str) -> bool:
    return files.file(name).is_file()


def _values(files: RunFolder, name: str) -> Values:
    value = files.raw(name)
    if not isinstance(value, Mapping):
        raise IntegrityError(
            f"{files.file(name)}: found {type(value).__name__}, allowed: a JSON object"
        )
    return value


def _mapping(value: object) -> Values:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value
