"""The ledger's rows in a SQLite file. For a local disk: locking on network shares is unsafe."""

from __future__ import annotations

import json
import sqlite3
import threading
from typing import TYPE_CHECKING

from liftwright.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_SCHEMA = """
create table if not exists records (
    key text primary key, status text, run_id text, row text not null
) without rowid;
create index if not exists records_by_status on records (status);
create index if not exists records_by_run on records (run_id);
"""
_COLUMNS = frozenset({"status", "run_id"})


class SqliteStore:
    """Rows by key, durable when `put` returns; safe for threads and a process that dies.

    Raises:
        IntegrityError: where the file is not a sound database.
        InputError: where it cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("pragma journal_mode=wal")
            self._connection.execute("pragma synchronous=full")
            verdict = self._connection.execute("pragma quick_check").fetchone()[0]
            self._connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise InputError(f"{path}: the ledger cannot be opened ({error})") from None
        except sqlite3.DatabaseError as error:
            raise IntegrityError(f"{path}: the ledger is corrupt ({error})") from None
        if verdict != "ok":
            raise IntegrityError(f"{path}: the ledger is corrupt ({verdict.splitlines()[0]})")

    def get(self, key: str) -> Mapping[str, object] | None:
        """The row of `key`, or None."""
        found = self._query("select key, row from records where key = ?", (key,))
        return found[0] if found else None

    def put(self, key: str, row: Mapping[str, object]) -> None:
        """Write the row of `key`, durable when this returns."""
        text = json.dumps(row, ensure_ascii=False)
        values = (key, row.get("status"), row.get("run_id"), text)
        try:
            with self._lock:
                self._connection.execute(
                    "insert or replace into records values (?, ?, ?, ?)", values
                )
        except sqlite3.OperationalError as error:
            raise InputError(f"{self._path}: the ledger cannot be written ({error})") from None
        except sqlite3.DatabaseError as error:
            raise IntegrityError(f"{self._path}: the ledger is corrupt ({error})") from None

    def rows(self, **equals: object) -> Iterable[Mapping[str, object]]:
        """The rows with this `status` or `run_id`."""
        unknown = set(equals) - _COLUMNS
        if unknown:
            raise ValueError(f"rows can be asked by {sorted(_COLUMNS)}, not {min(unknown)!r}")
        where = " and ".join(f"{name} = ?" for name in equals) or "true"
        # The names in `where` are of _COLUMNS; the values are bound.
        return self._query(f"select key, row from records where {where}", tuple(equals.values()))  # noqa: S608

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _query(self, statement: str, values: tuple[object, ...]) -> list[Mapping[str, object]]:
        try:
            with self._lock:
                found = self._connection.execute(statement, values).fetchall()
            return [{**json.loads(text), "key": key} for key, text in found]
        except (sqlite3.DatabaseError, ValueError) as error:
            raise IntegrityError(f"{self._path}: the ledger is corrupt ({error})") from None
