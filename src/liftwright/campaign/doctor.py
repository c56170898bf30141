"""Checks an installation and a workspace for `liftwright doctor` and `liftwright health`."""

from __future__ import annotations

import contextlib
import platform
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import check_is_workspace, check_ledger, open_context
from liftwright.campaign.healthcheck import (
    check_embedder,
    check_screener,
    check_writer,
    service_checks,
)
from liftwright.campaign.run_resolver import COMPLETE
from liftwright.campaign.stages.export import check_export
from liftwright.campaign.verify import verify_workspace
from liftwright.config import environment
from liftwright.content.documents import invalid_on
from liftwright.errors import LiftwrightError
from liftwright.model import is_url
from liftwright.model.run_files import all_runs
from liftwright.wiring import AdapterFactory, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liftwright.campaign.context import RunContext
    from liftwright.config import Settings
    from liftwright.model import Run
    from liftwright.model.run_files import RunFolder

_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """The result of one check."""

    name: str
    ok: bool
    detail: str


def run_doctor(root: Path, *, live: bool) -> tuple[HealthCheck, ...]:
    """Run all checks; a failure does not stop the others.

    Args:
        root: the workspace.
        live: also make one call to each configured service. Otherwise nothing leaves the machine.
    """
    checks = [
        _check("python", _python),
        _check("workspace folder can be written", lambda: _writable(root)),
        _check("audit log", lambda: _audit(root)),
        _check("ledger", lambda: _ledger(root)),
    ]
    try:
        settings = read_settings(root)
    except LiftwrightError as error:
        return (*checks, HealthCheck(name="configuration", ok=False, detail=str(error)))
    checks += _check_workspace(root, settings, live=live)
    if live:
        checks += check_services(root, settings)
    return tuple(checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a workspace can do its next scheduled run.

    Attributes:
        configuration: whether all files of config/ are valid.
        store: whether the workspace's folders can be written and the ledger's store opens.
        audit: whether the audit log's chain is intact, and is the one that the runs recorded.
        last_good_run_at: when the last complete run finished; None if there is none.
        problems: what is wrong; empty if `ok`.
    """

    ok: bool
    configuration: bool
    store: bool
    audit: bool
    last_good_run_at: str | None
    problems: tuple[str, ...]


def check_health(root: Path, *, max_age_hours: float | None = None) -> Health:
    """Check a workspace without calling a service; changes nothing.

    Args:
        root: the workspace.
        max_age_hours: the maximum age of the last complete run; None for any age, or none at all.

    Raises:
        InputError: the folder holds no workspace.
    """
    check_is_workspace(root)
    configuration = _check("configuration", lambda: _configuration(root))
    store = _check("store", lambda: _store(root, configured=configuration.ok))
    audit = _check("audit log", lambda: _audit(root))
    finished = [run.finished_at for f in all_runs(root) if (run := _complete(f)) is not None]
    last = max(filter(None, finished), default=None)
    age = _check("last good run", lambda: _age(last, max_age_hours))
    checks = (configuration, store, audit, age)
    return Health(
        ok=all(check.ok for check in checks),
        configuration=configuration.ok,
        store=store.ok,
        audit=audit.ok,
        last_good_run_at=last,
        problems=tuple(f"{check.name}: {check.detail}" for check in checks if not check.ok),
    )


def _configuration(root: Path) -> str:
    open_context(root, read_settings(root), offline=True).close()
    return "all files are valid"


def _store(root: Path, *, configured: bool) -> str:
    for folder in (root, root / "data", root / "data" / "runs", root / "logs"):
        if folder.is_dir():
            _writable(folder)
    check_ledger(root)
    if configured:
        settings = read_settings(root)
        # Opening the default store would create its file.
        is_there = (root / "data" / "ledger.sqlite").is_file()
        if is_there or settings.services.adapters.store != "sqlite":
            AdapterFactory(root, settings, environment(root)).make("store").close()
    return "can be written"


def _complete(folder: RunFolder) -> Run | None:
    run = folder.record()
    return run if run is not None and run.status == COMPLETE else None


def _age(last: str | None, max_age_hours: float | None) -> str:
    if max_age_hours is None:
        return "any age"
    if last is None:
        raise LiftwrightError(f"none yet, allowed: one in the last {max_age_hours:g} hours")
    hours = (datetime.now(UTC) - datetime.fromisoformat(last)).total_seconds() / 3600
    if hours > max_age_hours:
        raise LiftwrightError(
            f"{hours:,.1f} hours ago ({last}), allowed: at most {max_age_hours:g}"
        )
    return f"{hours:,.1f} hours ago"


def check_services(root: Path, settings: Settings) -> tuple[HealthCheck, ...]:
    """Make one call to each configured service; a failure does not stop the others."""
    return tuple(_check(check.name, check) for check in service_checks(root, settings))


def _check_workspace(root: Path, settings: Settings, *, live: bool) -> Iterator[HealthCheck]:
    """Check everything on this machine; with `live`, also object stores."""
    try:
        context = open_context(root, settings, offline=True)
    except LiftwrightError as error:
        yield HealthCheck(name="configuration", ok=False, detail=str(error))
        return
    yield HealthCheck(name="configuration", ok=True, detail="all files are valid")
    with contextlib.closing(context):
        yield _check("content", lambda: _content(context))
        if live or not any(map(is_url, settings.customers.paths)):
            yield _check("customers", lambda: _customers(context))
        else:
            yield HealthCheck(
                name="customers", ok=True, detail="in an object store; checked with --live"
            )
        export_to = settings.services.object_stores.export_to
        if live and export_to is not None:
            yield _check("export", lambda: _export(context, export_to))
        ports = context.ports
        for name, used, check in (
            ("embedding model", (ports.embed,), partial(check_embedder, ports.embed)),
            # The embedded screener uses the configured embedder.
            (
                "screener",
                (ports.screen, ports.embed),
                partial(check_screener, ports.screen, settings),
            ),
            ("writer", (ports.complete,), partial(check_writer, ports.complete, settings)),
        ):
            if not any(port.metered for port in used):
                yield _check(name, check)


def _check(name: str, check: Callable[[], str]) -> HealthCheck:
    try:
        return HealthCheck(name=name, ok=True, detail=check())
    except LiftwrightError as error:
        return HealthCheck(name=name, ok=False, detail=str(error))
    except OSError as error:
        return HealthCheck(name=name, ok=False, detail=f"{type(error).__name__}: {error.strerror}")


def _python() -> str:
    if sys.version_info < _OLDEST_PYTHON:
        raise LiftwrightError(f"found {platform.python_version()}, allowed: 3.11 or newer")
    return platform.python_version()


def _writable(root: Path) -> str:
    with tempfile.TemporaryFile(dir=root) as file:
        file.write(b"liftwright")
    return str(root.absolute())


def _audit(root: Path) -> str:
    if not any(run.audit and run.audit.count for f in all_runs(root) if (run := f.record())):
        return "no records yet"
    verification = verify_workspace(root)
    if not verification.ok:
        raise LiftwrightError("; ".join(verification.problems[:3]))
    return f"{verification.lines} records, intact"


def _ledger(root: Path) -> str:
    check_ledger(root)
    return "present" if (root / "data" / "ledger.sqlite").is_file() else "no paid calls yet"


def _content(context: RunContext) -> str:
    documents = context.corpus.documents
    expired = invalid_on(documents, datetime.now(UTC).date())
    counts = f"{len(documents)} documents, {len(expired)} not valid today"
    return "; ".join((counts, *context.content_warnings(context.corpus)))


def _customers(context: RunContext) -> str:
    report = context.customers
    return f"{report.rows_in:,} rows, {report.rows_kept:,} kept"


def _export(context: RunContext, url: str) -> str:
    check_export(context)
    return f"Connection successful: {url}"
