"""The shapes of a run's files, and what of a file is not of its shape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from acceptance_samples import TONES

ARMS = {"control", *TONES}
METRICS = {"open_rate", "click_rate", "conversion_rate", "revenue"}
GUARDRAILS = {"unsubscribe_rate", "complaint_rate"}
CATEGORIES = {"hate", "violence", "self_harm", "sexual"}


@dataclass(frozen=True, slots=True)
class Or:
    """Any of several shapes."""

    shapes: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object whose keys are names, and whose values have one shape.

    Attributes:
        names: exactly these keys; None admits any.
    """

    shape: Any
    names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a certain form."""

    form: str


NUMBER = Or((int, float))
NUMBER_OR_NULL = Or((int, float, None))
TEXT_OR_NULL = Or((str, None))
INTERVAL = Or(([NUMBER_OR_NULL], None))
TIME = Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
DAY = Text(r"\d{4}-\d\d-\d\d")
HEX12 = Text(r"[0-9a-f]{12}")
SHA256 = Text(r"[0-9a-f]{64}")
ARM = Text("|".join(sorted(ARMS)))
METRIC = Text("|".join(sorted(METRICS)))


def faults(value: Any, shape: Any, where: str = "$") -> list[str]:
    """Where a JSON value differs from its shape.

    A shape is an object with exactly its keys, a list of one shape, a kind, a value, or one of the
    classes above.
    """
    if isinstance(shape, Or):
        return [] if any(not faults(value, one, where) for one in shape.shapes) else [where]
    if isinstance(shape, MapOf | dict):
        return _faults_of_object(value, shape, where)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where}: {value!r:.80} is no list"]
        return [f for n, item in enumerate(value) for f in faults(item, shape[0], f"{where}[{n}]")]
    return [] if _is_one(value, shape) else [f"{where}: {value!r:.80} is not {shape!r}"]


def _faults_of_object(value: Any, shape: MapOf | dict[str, Any], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r:.80} is no object"]
    names = shape.names if isinstance(shape, MapOf) else set(shape)
    if names is not None and set(value) != names:
        return [f"{where}: keys {sorted(set(value) ^ names)}"]
    return [
        fault
        for name, item in value.items()
        for fault in faults(
            item, shape.shape if isinstance(shape, MapOf) else shape[name], f"{where}.{name}"
        )
    ]


def _is_one(value: Any, shape: Any) -> bool:
    if isinstance(shape, Text):
        return isinstance(value, str) and bool(re.fullmatch(shape.form, value))
    if isinstance(shape, type):
        return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return bool(value == shape)


PASSAGE = {
    "document_id": str,
    "version": str,
    "title": str,
    "section": str,
    "paragraph_index": int,
    "text": str,
    "score": float,
    "category": str,
    "fallback": bool,
}
CITATION = {name: PASSAGE[name] for name in list(PASSAGE)[:5]}
TOKENS = {"input": int, "cached_input": int, "output": int}
VARIANT = {
    "variant_id": HEX12,
    "arm": ARM,
    "segment": TEXT_OR_NULL,
    "tone": TEXT_OR_NULL,
    "subject": str,
    "body": str,
    "citations": [CITATION],
    "passages": [PASSAGE],
    "prompt": str,
    "prompt_sha256": SHA256,
    "model": str,
    "tokens": TOKENS,
    "cost_usd": float,
    "attempts": int,
    "created_at": TIME,
    "latency_ms": float,
}
COMPARISON = {
    "segment": str,
    "arm": ARM,
    "metric": METRIC,
    "kind": Or(("binary", "mean")),
    "n_treatment": int,
    "n_control": int,
    "treatment": NUMBER_OR_NULL,
    "control": NUMBER_OR_NULL,
    "difference": NUMBER_OR_NULL,
    "difference_ci": INTERVAL,
    "lift": NUMBER_OR_NULL,
    "lift_ci": INTERVAL,
    "p_value": NUMBER_OR_NULL,
    "p_adjusted": NUMBER_OR_NULL,
    "significant": bool,
    "test": TEXT_OR_NULL,
    "warnings": [str],
}
SRM = {
    "p_value": NUMBER_OR_NULL,
    "ok": bool,
    "observed": MapOf(int, frozenset(ARMS)),
    "expected": MapOf(NUMBER, frozenset(ARMS)),
}
SERVICE = {
    "calls": int,
    "attempts": int,
    "errors": int,
    "error_rate": float,
    "latency_p50_ms": float,
    "latency_p95_ms": float,
    "latency_p99_ms": float,
}
TOTALS = {
    "runtime_seconds": float,
    "rows": {"customers": int, "rejected": Or((int, None))},
    "metered_calls": int,
    "replayed_calls": int,
    "tokens": TOKENS,
    "cost_usd": NUMBER,
    "cost_by_service": MapOf({"calls": int, "tokens": TOKENS, "units": NUMBER, "cost_usd": NUMBER}),
    "approved_variants": int,
    "cost_per_approved_variant_usd": NUMBER_OR_NULL,
    "services": MapOf(SERVICE),
}
# The parts of a file that the product may add to stand as they are; those here are contracts.
SHAPES: dict[str, Any] = {
    "passages.json": MapOf([PASSAGE]),
    "failures.json": [
        {
            "segment": str,
            "tone": Text("|".join(TONES)),
            "stage": str,
            "cause": Or(("checks", "provider")),
            "reasons": [str],
            "attempts": int,
            "affected_customers": int,
        }
    ],
    "variants.json": {"control": VARIANT, "variants": [VARIANT]},
    "channel.json": {"channel": str, "footer": str},
    "claims.json": [
        {
            "variant_id": HEX12,
            "score": NUMBER,
            "claims": [
                {
                    "text": str,
                    "start": int,
                    "end": int,
                    "verdict": Text("supported|weak|unsupported|not_a_claim"),
                    "score": NUMBER,
                    "source": Or(({"index": int, "start": int, "end": int}, None)),
                    "reason": str,
                }
            ],
        }
    ],
    "decisions.json": [
        {
            "variant_id": HEX12,
            "content_sha256": SHA256,
            "status": Text("pass|block|waiting"),
            "reasons": [str],
            "severities": MapOf(Or((int, None)), frozenset(CATEGORIES)),
            "decided_by": str,
            "decided_at": TIME,
        }
    ],
}
CONTRACTS: dict[str, dict[str, Any]] = {
    "run.json": {
        "run_id": str,
        "status": "complete",
        "started_at": TIME,
        "finished_at": TIME,
        "valid_on": DAY,
        "seed": int,
        "simulated": True,
        "overrides": MapOf(Or((str, int, float, None))),
        "inputs": MapOf(SHA256),
        "versions": MapOf(str),
        "measurements": 0,
        "metered_calls": 0,
        "totals": TOTALS,
        "reason": None,
    },
    "customers.json": {
        "rows_in": 10,
        "rows_kept": 10,
        "rejected": {},
        "warnings": [str],
    },
    "segments.json": {"method": "rules", "customers": 10, "warnings": [str]},
    "index.json": {"name": str, "documents": 10, "paragraphs": int, "excluded": []},
    "engagement.json": {"source": "simulated", "machine_opens": 0, "machine_clicks": 0},
    "plan.json": {
        "hypotheses": [str],
        "primary_metric": "click_rate",
        "secondary_metrics": [METRIC],
        "guardrail_metrics": [Text("|".join(sorted(GUARDRAILS)))],
        "direction": MapOf(Text("(higher|lower) is better"), frozenset(METRICS | GUARDRAILS)),
        "alpha": NUMBER,
        "power": NUMBER,
        "correction": Text("holm|bh|none"),
        "minimum_lift": NUMBER,
        "minimum_sample": Or((int, None)),
        "stopping": Text("fixed|anytime"),
        "stopping_rule": str,
        "arms": [{"name": ARM, "share": NUMBER}],
        "sizes": MapOf(int),
        "shares": MapOf(MapOf(NUMBER)),
        "salt": str,
        "slices": MapOf([{"arm": ARM, "start": Text("[0-9a-f]*")}]),
        "left_out": {},
        "planned_at": TIME,
        "sha256": SHA256,
    },
    "metrics.json": {
        "n": int,
        "control": "control",
        "alpha": NUMBER,
        "correction": Text("holm|bh|none"),
        "srm": SRM,
        "arms": [
            {
                "arm": ARM,
                "n": int,
                "metrics": MapOf(
                    Or(
                        (
                            {"kind": "binary", "value": NUMBER_OR_NULL, "events": int},
                            {"kind": "mean", "value": NUMBER_OR_NULL, "sd": NUMBER_OR_NULL},
                        )
                    ),
                    frozenset(METRICS),
                ),
            }
        ],
        "comparisons": [COMPARISON],
        "simulated": True,
    },
}
TABLES = {
    "segmented.parquet": ("customer_id", "segment", "confidence", "reason"),
    "assignments.parquet": ("customer_id", "segment", "arm", "variant_id", "assigned_at"),
    "history.parquet": ("customer_id", "historical_open_rate", "historical_click_rate"),
    "engagement.parquet": (
        *("customer_id", "segment", "arm", "variant_id", "delivered", "opened", "clicked"),
        *("converted", "revenue", "source", "delivered_at", "opened_at", "clicked_at"),
        "converted_at",
    ),
}
