"""The audit trail of safety decisions: a CSV file that only grows, chained line by line.

Each line ends in the hash of the line before it and its own hash, which covers all text before it
on the line: SHA-256, or HMAC-SHA256 where a key is given. A run records how many lines it wrote
and the hash of its last one; `verify` compares, so that a cut or added end is found as well as a
change in the middle. Without a key, someone who may also rewrite the runs' records can forge the
whole; with one, only who holds the key can.
"""

from __future__ import annotations

from liftwright.audit.checking import Verification
from liftwright.audit.lines import COLUMNS, AuditRecord
from liftwright.audit.trail import AppendResult, AuditLog
from liftwright.model import AuditPosition, AuditRange

__all__ = [
    "COLUMNS",
    "AppendResult",
    "AuditLog",
    "AuditPosition",
    "AuditRange",
    "AuditRecord",
    "Verification",
]
