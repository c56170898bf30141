"""The domain model: table schemas, frozen records, and content fingerprints.

Anything with a `customer_id` is a row of a table and stays in the engine; its columns are declared
here. Everything else is a small frozen record. Ids are content hashes, so the same content has the
same id on every machine.
"""

from __future__ import annotations

from liftwright.model.content import Document, Paragraph, Passage, Query, Section
from liftwright.model.json import Json, fingerprint, from_json, to_json
from liftwright.model.messages import (
    CATEGORIES,
    Citation,
    Claim,
    Completion,
    Failure,
    Finding,
    JudgeRequest,
    Judgment,
    Limits,
    Prompt,
    SafetyDecision,
    SourceSpan,
    Tokens,
    Usage,
    Variant,
    text_records,
)
from liftwright.model.metrics import (
    METRICS,
    RATIOS,
    Direction,
    MetricKind,
    MetricSpec,
    direction_of,
)
from liftwright.model.runs import (
    CONTROL,
    Arm,
    AuditPosition,
    AuditRange,
    Identity,
    Run,
    StageRun,
    utc_now,
)
from liftwright.model.segments import DefiningFeature, FeatureSummary, Segment
from liftwright.model.tables import (
    ASSIGNMENTS,
    CUSTOMERS,
    ENGAGEMENT,
    FEATURES,
    SEGMENTED,
    UNASSIGNED,
    Column,
    ColumnKind,
    TableSchema,
)
from liftwright.model.urls import ObjectUrl, is_url, parse_url

__all__ = [
    "ASSIGNMENTS",
    "CATEGORIES",
    "CONTROL",
    "CUSTOMERS",
    "ENGAGEMENT",
    "FEATURES",
    "METRICS",
    "RATIOS",
    "SEGMENTED",
    "UNASSIGNED",
    "Arm",
    "AuditPosition",
    "AuditRange",
    "Citation",
    "Claim",
    "Column",
    "ColumnKind",
    "Completion",
    "DefiningFeature",
    "Direction",
    "Document",
    "Failure",
    "FeatureSummary",
    "Finding",
    "Identity",
    "Json",
    "JudgeRequest",
    "Judgment",
    "Limits",
    "MetricKind",
    "MetricSpec",
    "ObjectUrl",
    "Paragraph",
    "Passage",
    "Prompt",
    "Query",
    "Run",
    "SafetyDecision",
    "Section",
    "Segment",
    "SourceSpan",
    "StageRun",
    "TableSchema",
    "Tokens",
    "Usage",
    "Variant",
    "direction_of",
    "fingerprint",
    "from_json",
    "is_url",
    "parse_url",
    "text_records",
    "to_json",
    "utc_now",
]
