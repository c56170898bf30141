"""The ledger's rows in a SQLite file, on a local disk: locking on network shares is unsafe."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias

from liftwright.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_Row: TypeAlias = tuple[str, object, object, str, str]

_SCHEMA = """
create table if not exists records (
    key text primary key, status text, run_id text, row text not null, digest text not null
) without rowid;
create index if not exists records_by_status on records (status);
create index if not exists records_by_run on records (run_id);
"""
_COLUMNS = frozenset({"status", "run_id"})
_NOT_OPENED = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Errors of opening or writing the file; all others mean that the file is corrupt."""
_PRIMARY_CODE = 0xFF


class SqliteStore:
    """Rows by key, durable when `put` returns; thread-safe and crash-safe.

    Raises:
        IntegrityError: the file is not a valid database.
        InputError: the file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock, self._queue_lock = threading.Lock(), threading.Lock()
        self._queue: list[tuple[_Row, Future[None]]] = []
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            with self._translated():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def get(self, key: str) -> Mapping[str, object] | None:
        """The row of `key`, or None."""
        rows = self._query("key = ?", (key,))
        return rows[0] if rows else None

    def put(self, key: str, row: Mapping[str, object]) -> None:
        """Write the row of `key`; it is durable when this returns."""
        # ASCII, as a reply may contain a lone surrogate, which SQLite refuses in text.
        text = json.dumps({name: item for name, item in row.items() if name != "key"})
        values = (key, row.get("status"), row.get("run_id"), text, _digest(key, text))
        written: Future[None] = Future()
        with self._queue_lock:
            self._queue.append((values, written))
        # Whoever is first writes for all who wait meanwhile: a commit takes milliseconds.
        with self._lock:
            with self._queue_lock:
                batch, self._queue = self._queue, []
            self._write(batch)
        with self._translated():
            written.result()

    def rows(self, **equals: object) -> Iterable[Mapping[str, object]]:
        """The rows with this `status` or `run_id`."""
        unknown = set(equals) - _COLUMNS
        if unknown:
            raise ValueError(f"rows can be filtered by {sorted(_COLUMNS)}, not {min(unknown)!r}")
        where = " and ".join(f"{name} = ?" for name in equals) or "true"
        return self._query(where, tuple(equals.values()))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _write(self, batch: Sequence[tuple[_Row, Future[None]]]) -> None:
        """Write rows in one transaction, and tell each writer how it ended."""
        if not batch:
            return
        try:
            self._connection.execute("begin immediate")
            self._connection.executemany(
                "insert or replace into records values (?, ?, ?, ?, ?)", [row for row, _ in batch]
            )
            self._connection.execute("commit")
        except BaseException as error:  # noqa: BLE001 - each writer raises it
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            if len(batch) > 1:
                # One row must not fail the others.
                for one in batch:
                    self._write([one])
                return
            batch[0][1].set_exception(error)
        else:
            for _, written in batch:
                written.set_result(None)

    def _prepare(self) -> None:
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=full")
        verdict = self._connection.execute("pragma quick_check").fetchone()[0]
        if verdict != "ok":
            raise IntegrityError(f"{self._path}: the ledger is corrupt ({verdict.splitlines()[0]})")
        self._connection.executescript(_SCHEMA)

    def _query(self, where: str, values: tuple[object, ...]) -> list[Mapping[str, object]]:
        # The names in `where` come from this module, and the values are bound.
        statement = f"select key, row, digest from records where {where}"  # noqa: S608
        with self._translated(), self._lock:
            rows = self._connection.execute(statement, values).fetchall()
        for key, text, digest in rows:
            if digest != _digest(key, text):
                raise IntegrityError(
                    f"{self._path}: the ledger is corrupt (the row {key!r} was altered)"
                )
        return [{**json.loads(text), "key": key} for key, text, _ in rows]

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except UnicodeDecodeError:  # a damaged name in SQLite's own error message
            raise IntegrityError(f"{self._path}: the ledger is corrupt (not text)") from None
        except (sqlite3.DatabaseError, OSError) as error:
            # An error found by Python's own layer (text that is not UTF-8) has no code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY_CODE
            if isinstance(error, OSError) or code in _NOT_OPENED:
                reason = error.strerror if isinstance(error, OSError) else error
                raise InputError(
                    f"{self._path}: the ledger cannot be opened or written ({reason})"
                ) from None
            raise IntegrityError(f"{self._path}: the ledger is corrupt ({error})") from None


def _digest(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()
