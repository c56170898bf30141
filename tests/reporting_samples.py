"""Folders of finished runs for the tests of the report, made of the product's own records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.analysis import ArmTotals, MetricSpec, compare
from liftwright.model import (
    CONTROL,
    Citation,
    Claim,
    Failure,
    FeatureSummary,
    Passage,
    SafetyDecision,
    Segment,
    SourceSpan,
    Tokens,
    Variant,
    to_json,
)

if TYPE_CHECKING:
    from pathlib import Path

TONES = ("urgent", "informational", "friendly")
SEGMENTS = ("Loyal & <big>", "At_Risk | lapsed", "*New* $5 and $6")
BODY = "Hello,\n\nFree delivery from £50. [Source: Delivery, Terms]\n\nSee you soon."


@dataclass(frozen=True)
class Sample:
    """What the run is like; the counts are per cell of a segment and an arm."""

    per_cell: int = 400
    control_events: int = 40
    treatment_events: int = 44
    simulated: bool = True
    missing: tuple[tuple[str, str], ...] = ()
    blocked: tuple[tuple[str, str], ...] = ()
    lost_in_control: int = 0
    names_message: bool = True
    brand: str | None = "Tarnwick"


def variant_id(segment: str, tone: str) -> str:
    return f"{SEGMENTS.index(segment)}{tone}".ljust(12, "0")


def write_run(folder: Path, sample: Sample | None = None) -> Path:
    """A run's JSON files, without any table."""
    sample = sample or Sample()
    folder.mkdir(parents=True)
    gone = (*sample.missing, *sample.blocked)
    cells = {
        segment: {
            CONTROL: "control00000",
            **{tone: variant_id(segment, tone) for tone in TONES if (segment, tone) not in gone},
        }
        for segment in SEGMENTS
    }
    variants = [
        _variant(segment, tone)
        for segment in SEGMENTS
        for tone in TONES
        if (segment, tone) not in sample.missing
    ]
    files: dict[str, object] = {
        "run.json": _run(folder.name, sample, 1 + len(variants)),
        "segments.json": {
            "method": "rules",
            "customers": sample.per_cell * 4 * len(SEGMENTS),
            "segments": [_segment(label, sample.per_cell * 4) for label in SEGMENTS],
            "model": {},
            "warnings": ["segment sizes differ"],
        },
        "passages.json": {segment: [_passage()] for segment in SEGMENTS},
        "variants.json": {"control": _variant(None, CONTROL), "variants": variants},
        "claims.json": [
            {"variant_id": v.variant_id, "score": 0.9, "claims": _claims()} for v in variants
        ],
        "decisions.json": [
            _decision(v, blocked=(v.segment, v.arm) in sample.blocked)
            for v in (_variant(None, CONTROL), *variants)
        ],
        "failures.json": [
            Failure(
                segment=segment,
                tone=tone,
                stage="generate",
                cause="checks",
                reasons=("body: 90 words, allowed 100 to 200",),
                attempts=4,
                affected_customers=sample.per_cell,
            )
            for segment, tone in sample.missing
        ],
        "arms.json": {
            "design": {
                "salt": "autumn",
                "arms": [],
                "sizes": {},
                "cells": cells,
                "shares": {s: dict.fromkeys(arms, 1 / len(arms)) for s, arms in cells.items()},
                "approved": [],
            },
            "slices": {},
            "counts": {s: dict.fromkeys(arms, sample.per_cell) for s, arms in cells.items()},
            "balance": [],
            "assigned_at": "2026-03-01T09:00:00Z",
        },
        "engagement.json": {
            "source": "simulated" if sample.simulated else "historical",
            "rows": 5000,
            "rows_used": 4800,
            "customers_missing": 0,
            "machine_opens": 0,
            "machine_clicks": 0,
            "names_message": sample.names_message,
            "set_aside": {"another arm than assigned": 12},
            "warnings": [],
        },
        "metrics.json": metrics(sample, cells),
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(to_json(value)), encoding="utf-8")
    return folder


def metrics(sample: Sample, cells: dict[str, dict[str, str]]) -> dict[str, object]:
    sums, units = [], dict.fromkeys((CONTROL, *TONES), 0)
    for segment, arms in cells.items():
        for arm in arms:
            lost = sample.lost_in_control if arm == CONTROL else 0
            n = sample.per_cell - lost
            events = sample.control_events if arm == CONTROL else sample.treatment_events
            units[arm] += n
            sums += [
                ArmTotals(segment=segment, arm=arm, metric="open_rate", n=n, events=3 * events),
                ArmTotals(segment=segment, arm=arm, metric="click_rate", n=n, events=events),
                ArmTotals(segment=segment, arm=arm, metric="conversion_rate", n=n, events=0),
                ArmTotals(
                    segment=segment,
                    arm=arm,
                    metric="revenue",
                    n=n,
                    total=2.0 * events,
                    total_sq=50.0 * events,
                ),
            ]
    specs = [
        MetricSpec(name="open_rate", kind="binary"),
        MetricSpec(name="click_rate", kind="binary"),
        MetricSpec(name="conversion_rate", kind="binary"),
        MetricSpec(name="revenue", kind="mean"),
    ]
    found = compare(sums, specs, CONTROL, units={a: n for a, n in units.items() if n})
    document = found.to_json()
    rows = [
        row
        for row in document["comparisons"]
        if row["segment"] == "all" or row["arm"] in cells[row["segment"]]
    ]
    wins = [
        row
        for row in rows
        if row["segment"] == "all"
        and row["metric"] == "click_rate"
        and row["significant"]
        and row["difference"] > 0
        and document["srm"]["ok"]
    ]
    best = max(wins, key=lambda row: row["difference"], default=None)
    return {
        **document,
        "comparisons": rows,
        "simulated": sample.simulated,
        "primary_metric": "click_rate",
        "srm_by_segment": {SEGMENTS[0]: document["srm"]},
        "best": [
            {
                "segment": "all",
                "metric": "click_rate",
                "arm": best["arm"] if best else None,
                "lift": best["lift"] if best else None,
                "reason": "adjusted p" if best else "no arm is better than control",
            },
            *(
                {
                    "segment": segment,
                    "metric": "click_rate",
                    "arm": None,
                    "lift": None,
                    "reason": "no arm is better than control",
                }
                for segment in cells
            ),
        ],
        "balance": {
            "assigned": {},
            "delivered": {},
            "largest": 0.02,
            "differences": [
                {"arm": tone, "feature": feature, "difference": difference, "limit": 0.1}
                for tone in TONES
                for feature, difference in (("age", 0.02), ("avg_order_value", None))
            ],
            "ok": True,
        },
        "power": [
            {
                "arm": row["arm"],
                "metric": row["metric"],
                "base": row["control"],
                "n_treatment": row["n_treatment"],
                "n_control": row["n_control"],
                "alpha": 0.0125,
                "power": 0.8,
                "detectable_difference": 0.03,
                "detectable_lift": 0.31,
                "warning": "underpowered: a lift of +31% or more",
            }
            for row in rows
            if row["segment"] == "all"
        ],
        "daily": [],
        "warnings": ["underpowered: a lift of +31% or more"],
    }


def _run(name: str, sample: Sample, decisions: int) -> dict[str, object]:
    stages = ("segment", "index", "retrieve", "generate", "ground", "screen")
    stages += ("assign", "observe", "measure")
    return {
        "run_id": name,
        "status": "running",
        "started_at": "2026-03-01T08:59:59.000Z",
        "simulated": sample.simulated,
        "campaign": {"brand": sample.brand, "thresholds": {"hate": 2}} if sample.brand else None,
        "stages": [{"name": s, "status": "done", "seconds": 0.5} for s in stages],
        "audit": {
            "run_id": name,
            "first": 2,
            "last": 1 + decisions,
            "count": decisions,
            "head": "ab" * 32,
        },
    }


def _segment(label: str, size: int) -> Segment:
    return Segment(
        label=label,
        size=size,
        share=1 / len(SEGMENTS),
        definition="recency_score >= 4",
        description="They order often.",
        features={
            "age": FeatureSummary(mean=1, median=1, std=1, min=1, q25=1, q75=1, max=1),
        },
    )


def _passage() -> Passage:
    return Passage(
        document_id="delivery",
        version="1",
        title="Delivery",
        section="Terms",
        paragraph_index=0,
        text="Free delivery from £50.",
        score=0.9,
    )


def _variant(segment: str | None, arm: str) -> Variant:
    citation = Citation(
        document_id="delivery", version="1", title="Delivery", section="Terms", paragraph_index=0
    )
    return Variant(
        variant_id=variant_id(segment, arm) if segment else "control00000",
        arm=arm,
        segment=segment,
        tone=arm if segment else None,
        subject=f"Delivery: {arm} #1",
        body=BODY,
        citations=(citation,) if segment else (),
        passages=(_passage(),) if segment else (),
        prompt="Write.",
        prompt_sha256="00",
        model="grounded-composer",
        tokens=Tokens(),
        cost_usd=0.0,
        attempts=1,
        created_at="2026-03-01T09:00:00Z",
        latency_ms=1.0,
    )


def _claims() -> list[Claim]:
    span = SourceSpan(index=0, start=0, end=5)
    return [
        Claim(text="a", start=0, end=1, verdict="supported", score=0.9, source=span),
        Claim(text="b", start=1, end=2, verdict="not_a_claim", score=1.0, source=None),
    ]


def _decision(variant: Variant, *, blocked: bool) -> SafetyDecision:
    return SafetyDecision(
        variant_id=variant.variant_id,
        content_sha256="00",
        status="block" if blocked else "pass",
        reasons=("violence: severity 6 is above 4 (body)",) if blocked else (),
        severities={
            "hate": 2 if variant.arm == "urgent" else 0,
            "violence": 6 if blocked else 0,
            "self_harm": 0,
            "sexual": 0,
        },
        decided_by="embedded",
        decided_at="2026-03-01T09:00:00Z",
    )
