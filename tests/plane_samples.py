"""Customers, configurations and tables for tests of what runs on the data plane."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from liftwright.adapters.duckdb.engine import DuckDBEngine
from liftwright.config import Experiment, Segments
from liftwright.data import Tables, identifier, literal
from liftwright.model import CUSTOMERS, SafetyDecision, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

TONES = ("urgent", "informational", "friendly")


def open_tables(folder: Path) -> Tables:
    return Tables(DuckDBEngine(folder, memory="1GB", threads=2))


def customer(index: int, **values: object) -> dict[str, object]:
    row: dict[str, object] = {
        "customer_id": f"C{index:05}",
        "age": 40.0,
        "location": "Leeds",
        "tier": "Bronze",
        "purchase_frequency": 2.0,
        "avg_order_value": 50.0,
        "last_engagement_days": 30.0,
        "historical_open_rate": 0.25,
        "historical_click_rate": 0.07,
    }
    return {**row, **values}


def varied_customers(count: int, seed: int = 1) -> list[dict[str, object]]:
    draw = random.Random(seed)  # noqa: S311 - a repeatable sample
    return [
        customer(
            index,
            age=float(draw.randint(18, 80)),
            location=draw.choice(["Leeds", "York", "Hull"]),
            tier=draw.choice(["Gold", "Silver", None]),
            purchase_frequency=round(draw.expovariate(0.3), 1),
            avg_order_value=round(draw.lognormvariate(4, 0.6), 2),
            last_engagement_days=float(int(draw.expovariate(0.01))),
            historical_open_rate=round(draw.betavariate(3, 9), 4),
            historical_click_rate=round(draw.betavariate(2, 26), 4),
        )
        for index in range(count)
    ]


def keep_rows(
    tables: Tables, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Keep rows as a table, read from one text: the engine is slow on as many literals."""
    every = [tuple(row) for row in rows]
    text = "\x1e".join(
        "\x1f".join("\x1d" if value is None else str(value) for value in row) for row in every
    )
    fields = ", ".join(
        f"cast(nullif(fields[{place + 1}], chr(29)) as {_kind(row[place] for row in every)}) "
        f"as {identifier(column)}"
        for place, column in enumerate(columns)
    )
    records = f"select unnest(string_split({literal(text)}, chr(30))) as record"
    split = f"select string_split(record, chr(31)) as fields from ({records})"  # noqa: S608 - quoted
    tables.keep(name, f"select {fields} from ({split})")  # noqa: S608 - quoted


def _kind(values: Iterable[object]) -> str:
    """The SQL type of a column."""
    found = {type(value) for value in values if value is not None}
    if str in found:
        return "varchar"
    if bool in found:
        return "boolean"
    return "double" if float in found else "bigint"


def keep_customers(
    tables: Tables, rows: Sequence[dict[str, object]], extra: Sequence[str] = ()
) -> None:
    names = [*CUSTOMERS.names, *extra]
    keep_rows(tables, "raw", names, [[row[name] for name in names] for row in rows])
    typed = [f"cast({c.name} as {c.kind.value}) as {c.name}" for c in CUSTOMERS.columns]
    tables.keep("customers", f"select {', '.join([*typed, *map(identifier, extra)])} from raw")  # noqa: S608 - quoted


def keep_segmented(tables: Tables, rows: Iterable[tuple[str, str]]) -> None:
    keep_rows(
        tables,
        "segmented",
        ["customer_id", "segment", "confidence", "reason"],
        [(customer_id, segment, 1.0, "because") for customer_id, segment in rows],
    )


def segments_config(**values: object) -> Segments:
    content: dict[str, object] = {
        "rules": [
            {
                "label": "Valuable",
                "description": "They spend much.",
                "audience": ["high spenders"],
                "conditions": [
                    {"when": "frequency_score + monetary_score >= 8", "weight": 3},
                    {"when": "recency_score >= 2", "weight": 1},
                ],
            },
            {
                "label": "Lapsing",
                "description": "They were last here long ago.",
                "conditions": [{"when": "recency_score <= 2"}],
            },
            {"label": "Others", "description": "All the rest."},
        ],
        "rfm": [
            {"label": "Best", "description": "High.", "at_least": 12},
            {"label": "Middle", "description": "Average.", "at_least": 7},
            {"label": "Least", "description": "Low.", "at_least": 3},
        ],
        "feature_words": {
            "purchase_frequency": {
                "low": {"label": "Infrequent Buyers", "words": "order seldom"},
                "high": {
                    "label": "Frequent Buyers",
                    "words": "order often",
                    "audience": ["frequent buyers"],
                },
            },
        },
    }
    return Segments.model_validate({**content, **values})


def experiment_config(**values: object) -> Experiment:
    content: dict[str, object] = {
        "name": "autumn",
        "seed": 7,
        "brand": {"name": "B", "postal_address": "A", "unsubscribe_url": "https://b.example"},
        "tones": list(TONES),
    }
    return Experiment.model_validate({**content, **values})


def variant(arm: str, segment: str | None) -> Variant:
    return Variant.bare(f"{arm}@{segment}", arm=arm, segment=segment)


def variants_for(segments: Iterable[str], tones: Iterable[str] = TONES) -> list[Variant]:
    return [variant("control", None), *(variant(t, s) for s in segments for t in tones)]


def decide(variants: Iterable[Variant], blocked: Iterable[str] = ()) -> list[SafetyDecision]:
    return [
        SafetyDecision(
            variant_id=one.variant_id,
            content_sha256="",
            status="block" if one.variant_id in blocked else "pass",
            reasons=(),
            severities={},
            decided_by="test",
            decided_at="",
        )
        for one in variants
    ]
