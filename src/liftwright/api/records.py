"""Converts mappings from callers to records, and records to mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from liftwright.data import did_you_mean
from liftwright.errors import InputError
from liftwright.model import (
    CONTROL,
    FeatureSummary,
    Passage,
    SafetyDecision,
    Segment,
    Variant,
    fingerprint,
    from_json,
    to_json,
    utc_now,
)

if TYPE_CHECKING:
    Row = Mapping[str, Any]

_EMPTY_SUMMARY: dict[str, Any] = dict.fromkeys(
    ("mean", "median", "std", "min", "q25", "q75", "max")
)


def arm_aliases(tones: Sequence[str]) -> dict[str, str]:
    """The arm names in the API: `control`, `treatment_1` … in the order of the tones."""
    return {CONTROL: CONTROL, **{tone: f"treatment_{n}" for n, tone in enumerate(tones, start=1)}}


def to_segment(given: Row) -> Segment:
    """A segment from a mapping with `label` or `name` and other known fields."""
    label = label_of(given) or "readers"
    return Segment(
        label=label,
        size=int(given.get("size", 0)),
        share=float(given.get("share", 0.0)),
        definition=str(given.get("definition", "")),
        description=str(given.get("description") or label),
        audience=_words(given.get("audience")),
        interests=_words(given.get("interests")),
        features=_features(given.get("features")),
        tiers=dict(given.get("tiers") or {}),
    )


def label_of(given: Row) -> str:
    """The label of a segment mapping under any of its keys; empty if there is none."""
    return str(given.get("label") or given.get("name") or given.get("segment") or "")


def _words(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _features(given: object) -> dict[str, FeatureSummary]:
    """Feature summaries from mappings, or from plain numbers as mean and median."""
    if not isinstance(given, Mapping):
        return {}
    features = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            features[str(name)] = from_json(FeatureSummary, {**_EMPTY_SUMMARY, **value})
        elif isinstance(value, int | float):
            features[str(name)] = FeatureSummary(
                **{**_EMPTY_SUMMARY, "mean": float(value), "median": float(value)}
            )
    return features


def to_passage(given: Passage | Row) -> Passage:
    """A passage from a mapping, or unchanged."""
    return given if isinstance(given, Passage) else from_json(Passage, dict(given))


def to_plain(record: object) -> dict[str, Any]:
    """A record as a mapping of JSON values."""
    value = to_json(record)
    return dict(value) if isinstance(value, Mapping) else {}


def approved_decision(message: Variant) -> SafetyDecision:
    """A `pass` decision on the caller's responsibility."""
    return SafetyDecision(
        variant_id=message.variant_id,
        content_sha256="",
        status="pass",
        reasons=(),
        severities={},
        decided_by="caller",
        decided_at=utc_now(),
    )


def to_variants(
    variants: Sequence[Row | Variant], segments: Sequence[str], tones: Sequence[str]
) -> list[Variant]:
    """The variants as records; one without a segment applies to every segment.

    Raises:
        InputError: an arm or tone is not configured, or a segment has two variants for one arm.
    """
    messages = [Variant.bare(CONTROL, arm=CONTROL, segment=None)]
    taken: dict[tuple[str, str], str] = {}
    treatments = 0
    for given in variants:
        row = given if isinstance(given, Mapping) else to_plain(given)
        arm = _arm_of(row, tones, treatments)
        if arm == CONTROL:
            name = str(row.get("variant_id") or CONTROL)
            messages[0] = Variant.bare(name, arm=CONTROL, segment=None)
            continue
        treatments += 1
        own = row.get("segment")
        for segment in [str(own)] if own is not None else segments:
            name = str(row.get("variant_id") or fingerprint(segment, arm)[:12])
            if (segment, arm) in taken:
                raise InputError(
                    f"variants {taken[segment, arm]!r} and {name!r}: both are for the arm {arm!r} "
                    f"in the segment {segment!r}; allowed: one"
                )
            taken[segment, arm] = name
            messages.append(Variant.bare(name, arm=arm, segment=segment))
    return messages


def _arm_of(row: Row, tones: Sequence[str], position: int) -> str:
    """The arm of a variant by tone or alias; by position if it has neither."""
    aliases = arm_aliases(tones)
    known = {**{alias: arm for arm, alias in aliases.items()}, **{arm: arm for arm in aliases}}
    named = str(row.get("arm") or row.get("tone") or tones[position % len(tones)])
    if named not in known:
        hint = did_you_mean(named, tuple(known)) or f"; allowed: {', '.join(known)}"
        raise InputError(f"variant {row.get('variant_id')!r}: arm {named!r}: not configured{hint}")
    return known[named]
