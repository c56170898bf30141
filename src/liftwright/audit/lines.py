"""A line of the audit log: its columns, and the conversion of decisions to text and back."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.model import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = (
    *("timestamp", "variant_id", "segment", "status", *CATEGORIES, "block_reason"),
    *("run_id", "content_sha256", "screener", "policy_sha256", "previous_hash", "hash"),
)
HEADER = (",".join(COLUMNS) + "\n").encode()
UNAVAILABLE = "unavailable"

RUN = COLUMNS.index("run_id")
_KEY = tuple(
    COLUMNS.index(name)
    for name in ("run_id", "variant_id", "content_sha256", "screener", "policy_sha256", "status")
)
_REASON = COLUMNS.index("block_reason")
# Spreadsheets read a cell that starts like this as a formula; in some locales also full-width.
_FORMULA = re.compile(r"[=+\-@\uff1d\uff0b\uff0d\uff20]")
# Characters that a reader may take for a line break or cannot display.
_UNPRINTABLE = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(?:\\|u([0-9a-f]{4}))")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """A decision on a variant, by the screener or by a person (`human:<who>`).

    Attributes:
        severities: the highest severity per category; None if unknown.
    """

    timestamp: str
    variant_id: str
    segment: str
    status: str
    severities: Mapping[str, int | None]
    block_reason: str
    run_id: str
    content_sha256: str
    screener: str
    policy_sha256: str


def to_fields(record: AuditRecord) -> list[str]:
    """The decision's columns, `timestamp` to `policy_sha256`, as text in the file."""
    severities = [record.severities[category] for category in CATEGORIES]
    return [
        *map(escape, (record.timestamp, record.variant_id, record.segment, record.status)),
        *("" if severity is None else str(severity) for severity in severities),
        *map(escape, (record.block_reason, record.run_id, record.content_sha256)),
        *map(escape, (record.screener, record.policy_sha256)),
    ]


def to_record(fields: Sequence[str]) -> AuditRecord:
    """The decision in a line's columns."""
    row = dict(zip(COLUMNS, fields, strict=True))
    severities = {name: int(row[name]) if row[name] else None for name in CATEGORIES}
    names = set(COLUMNS) - {*CATEGORIES, "previous_hash", "hash"}
    text = {name: _unescape(row[name]) for name in names}
    return AuditRecord(severities=severities, **text)


def key_of(fields: Sequence[str]) -> tuple[str, ...]:
    """The identity of a decision; a second line with the same key is not written."""
    unavailable = fields[_REASON].startswith(UNAVAILABLE)
    return (*(fields[index] for index in _KEY), UNAVAILABLE if unavailable else "")


def escape(text: str) -> str:
    """Escape line breaks and spreadsheet formulas, reversibly."""
    text = _UNPRINTABLE.sub(
        lambda match: "\\\\" if match[0] == "\\" else f"\\u{ord(match[0]):04x}", text
    )
    return "'" + text if _FORMULA.match(text) or text.startswith("'") else text


def _unescape(text: str) -> str:
    text = text.removeprefix("'")
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)) if match[1] else "\\", text)


def fields_of(line: bytes) -> list[str] | None:
    """The columns of a line; None if it is not a record."""
    try:
        text = line.decode().removesuffix("\n")
        fields = next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except (UnicodeDecodeError, csv.Error):
        return None
    return fields if len(fields) == len(COLUMNS) else None
