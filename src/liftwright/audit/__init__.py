"""The audit log of safety decisions: an append-only CSV file with a hash chain.

Each line ends with the previous line's hash and its own, which covers the rest of the line:
SHA-256, or HMAC-SHA256 with a key. A run records how many lines it wrote and the hash of the last;
`verify` compares them, so it also detects a truncated or extended file. Without a key, anyone who
can also rewrite the runs' records can forge the log; with one, only a holder of the key can.
"""

from __future__ import annotations

from liftwright.audit.lines import COLUMNS, AuditRecord
from liftwright.audit.log_file import AppendResult, AuditLog
from liftwright.audit.verification import Verification
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
