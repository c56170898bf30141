"""Checks an installation and a workspace for `liftwright doctor`."""

from __future__ import annotations

import contextlib
import platform
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from liftwright.campaign.bootstrap import check_ledger, open_context
from liftwright.campaign.healthcheck import (
    check_embedder,
    check_screener,
    check_writer,
    service_checks,
)
from liftwright.campaign.stages.export import check_export
from liftwright.campaign.verify import verify_workspace
from liftwright.content.documents import invalid_on
from liftwright.errors import LiftwrightError
from liftwright.model import is_url
from liftwright.model.run_files import all_runs
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liftwright.campaign.context import RunContext
    from liftwright.config import Settings

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
    return f"{len(documents)} documents, {len(expired)} not valid today"


def _customers(context: RunContext) -> str:
    report = context.customers
    return f"{report.rows_in:,} rows, {report.rows_kept:,} kept"


def _export(context: RunContext, url: str) -> str:
    check_export(context)
    return f"Connection successful: {url}"
