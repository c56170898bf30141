"""Structured logs: JSON lines with timestamp, agent, action and context; no personal data.

`system.log` has every event, `experiment.log` only those of the experiment. Customers appear only
as keyed hashes, messages only as ids and digests.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import hmac
import json
import logging
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from liftwright.errors import InputError, LiftwrightError, hide_secrets
from liftwright.model import to_json, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from liftwright.model import Json

EXPERIMENT_AGENTS = frozenset({"segmentation", "experimentation", "reporting"})
_LEVELS = ("debug", "info", "warning", "error")
_ANONYMOUS_HEX = 16

_context: contextvars.ContextVar[dict[str, object]] = contextvars.ContextVar("context", default={})  # noqa: B039 - never mutated, always replaced


class Log:
    """The two log files of a workspace; safe for threads, appended line by line.

    With `LIFTWRIGHT_LOG=json`, each record of system.log is also written to stderr.

    Raises:
        InputError: the folder or a file cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, *, level: str = "info") -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._least = _LEVELS.index(level)
        self._to_stderr = logs_to_stderr()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: logs cannot be written ({error.strerror})") from None

    def write(self, record: dict[str, object], *, experiment: bool) -> None:
        """Append a record to system.log and, if `experiment`, to experiment.log."""
        if _LEVELS.index(str(record["level"])) < self._least:
            return
        line = _line(record)
        names = ("system.log", "experiment.log") if experiment else ("system.log",)
        with self._lock:
            for name in names:
                self._append(self._folder / name, line)
            if self._to_stderr:
                _write_to_stderr(line)

    def _append(self, path: Path, line: bytes) -> None:
        try:
            # Unbuffered, one write per line, so that a process that dies leaves no partial line.
            with path.open("ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def logs_to_stderr() -> bool:
    """Whether the variable LIFTWRIGHT_LOG asks for JSON lines on stderr, instead of tables.

    Raises:
        InputError: it has another value than json or text.
    """
    form = os.environ.get("LIFTWRIGHT_LOG", "") or "text"
    if form not in ("json", "text"):
        raise InputError(f"LIFTWRIGHT_LOG: found {form!r}, allowed: json or text")
    return form == "json"


def log_error(error: LiftwrightError) -> None:
    """Write the error that ends a command to stderr, as a JSON line."""
    context = {
        "error": type(error).__name__,
        "message": str(error),
        "exit_status": error.exit_status,
    }
    record = _record("command_failed", "command", "error", context)
    _write_to_stderr(_line(record))


def _write_to_stderr(line: bytes) -> None:
    """Write a whole line; a closed stderr must not stop a run."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(line.decode("utf-8"))
        sys.stderr.flush()


def _record(
    action: str, agent: str, level: str, context: Mapping[str, object]
) -> dict[str, object]:
    return {
        "timestamp": utc_now(),
        "level": level,
        "agent": agent,
        "action": action,
        "context": context,
    }


def _line(record: Mapping[str, object]) -> bytes:
    text = hide_secrets(json.dumps(_plain(record), ensure_ascii=False)) + "\n"
    # A lone surrogate (a broken emoji, an odd file name) is written as a JSON escape.
    return text.encode("utf-8", "backslashreplace")


def _plain(value: object) -> Json:
    """As `to_json`, but a value without a JSON form becomes its type's name."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    try:
        return to_json(value)
    except TypeError:
        return f"<{type(value).__name__}>"


_log: contextvars.ContextVar[Log | None] = contextvars.ContextVar("log", default=None)


@contextlib.contextmanager
def logging_to(log: Log | None, **context: object) -> Iterator[None]:
    """Within the block, events go to `log` and carry these fields in their context."""
    log_token = _log.set(log)
    context_token = _context.set({**_context.get(), **context})
    try:
        yield
    finally:
        _context.reset(context_token)
        _log.reset(log_token)


@contextlib.contextmanager
def log_context(**context: object) -> Iterator[None]:
    """Within the block, events carry these fields in their context."""
    token = _context.set({**_context.get(), **context})
    try:
        yield
    finally:
        _context.reset(token)


def silence(*names: str) -> None:
    """Keep vendors' loggers off the terminal and out of other logs; our own log reports failures.

    Their messages may repeat a service's words, and so a key or a text.
    """
    for name in names:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def event(action: str, *, agent: str, level: str = "info", **fields: object) -> None:
    """Record that something happened.

    Args:
        action: the event, in the past tense: `variant_blocked`.
        agent: the part of the product: `retrieval`, `safety`, `pipeline`.
        level: debug, info, warning or error.
        **fields: ids, counts, durations; never a message's text or a person.
    """
    log = _log.get()
    if log is None:
        return
    record = _record(action, agent, level, {**_context.get(), **fields})
    log.write(record, experiment=agent in EXPERIMENT_AGENTS)


def fault(action: str, error: BaseException, *, agent: str, **fields: object) -> None:
    """Record an exception: its type, its stack, and its message if it is a `LiftwrightError`."""
    frames = traceback.extract_tb(error.__traceback__)
    stack = [f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in frames]  # noqa: PTH119 - a name, not a path
    # The message of another library's error may quote a row or a reply.
    message = str(error) if isinstance(error, LiftwrightError) else ""
    event(
        action,
        agent=agent,
        level="error",
        error=type(error).__name__,
        message=message,
        stack=stack,
        **fields,
    )


def anonymise(customer_id: str, *, key: bytes) -> str:
    """A customer's id in logs: 16 hex digits of its HMAC-SHA256 with the workspace's key."""
    return hmac.new(key, customer_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
        :_ANONYMOUS_HEX
    ]
