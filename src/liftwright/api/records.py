"""What callers say in their own words, as the product's records."""

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

_NOTHING: dict[str, Any] = dict.fromkeys(("mean", "median", "std", "min", "q25", "q75", "max"))


def arm_aliases(tones: Sequence[str]) -> dict[str, str]:
    """The names that callers know the arms by: `control`, `treatment_1` … in order of the tones."""
    return {CONTROL: CONTROL, **{tone: f"treatment_{n}" for n, tone in enumerate(tones, start=1)}}


def to_segment(given: Row) -> Segment:
    """A segment from a mapping with `label` or `name` and what else is known of it."""
    label = label_of(given) or "readers"
    words = given.get("description") or label
    return Segment(
        label=label,
        size=int(given.get("size", 0)),
        share=float(given.get("share", 0.0)),
        definition=str(given.get("definition", "")),
        description=str(words),
        audience=_words(given.get("audience")),
        interests=_words(given.get("interests")),
        features=_features(given.get("features")),
        tiers=dict(given.get("tiers") or {}),
    )


def label_of(given: Row) -> str:
    """The name that a caller gives a segment, under any of its keys; empty where there is none."""
    return str(given.get("label") or given.get("name") or given.get("segment") or "")


def _words(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _features(given: object) -> dict[str, FeatureSummary]:
    """What a caller knows of features: summaries, or a plain number as mean and median."""
    if not isinstance(given, Mapping):
        return {}
    found = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            found[str(name)] = from_json(FeatureSummary, {**_NOTHING, **value})
        elif isinstance(value, int | float):
            found[str(name)] = FeatureSummary(
                **{**_NOTHING, "mean": float(value), "median": float(value)}
            )
    return found


def to_passage(given: Passage | Row) -> Passage:
    """A passage from its mapping, or as it is."""
    return given if isinstance(given, Passage) else from_json(Passage, dict(given))


def to_plain(record: object) -> dict[str, Any]:
    """A record as a mapping of JSON values."""
    value = to_json(record)
    return dict(value) if isinstance(value, Mapping) else {}


def passed(message: Variant) -> SafetyDecision:
    """A decision that the caller vouches for: the message may be sent."""
    return SafetyDecision(
        variant_id=message.variant_id,
        content_sha256="",
        status="pass",
        reasons=(),
        severities={},
        decided_by="caller",
        decided_at=utc_now(),
    )


def to_messages(
    variants: Sequence[Row | Variant], segments: Sequence[str], tones: Sequence[str]
) -> list[Variant]:
    """The variants as records: one without a segment stands for each of them.

    Raises:
        InputError: where an arm or tone is not configured, or two variants share a place.
    """
    found = [Variant.bare(CONTROL, arm=CONTROL, segment=None)]
    taken: dict[tuple[str, str], str] = {}
    treatments = 0
    for given in variants:
        row = given if isinstance(given, Mapping) else to_plain(given)
        arm = _arm_of(row, tones, treatments)
        if arm == CONTROL:
            name = str(row.get("variant_id") or CONTROL)
            found[0] = Variant.bare(name, arm=CONTROL, segment=None)
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
            found.append(Variant.bare(name, arm=arm, segment=segment))
    return found


def _arm_of(row: Row, tones: Sequence[str], place: int) -> str:
    """The arm that a variant names by tone or alias; by its place where it names none."""
    aliases = arm_aliases(tones)
    known = {**{alias: arm for arm, alias in aliases.items()}, **{arm: arm for arm in aliases}}
    named = str(row.get("arm") or row.get("tone") or tones[place % len(tones)])
    if named not in known:
        hint = did_you_mean(named, tuple(known)) or f"; allowed: {', '.join(known)}"
        raise InputError(f"variant {row.get('variant_id')!r}: arm {named!r}: not configured{hint}")
    return known[named]
