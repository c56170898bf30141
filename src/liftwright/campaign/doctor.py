"""Checks an installation and a workspace part by part, for `liftwright doctor`."""

from __future__ import annotations

import contextlib
import platform
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from liftwright.agents import safety
from liftwright.campaign.bootstrap import check_ledger, open_context
from liftwright.campaign.healthcheck import connection_prompt, service_checks
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
class Check:
    """The result of checking one part."""

    name: str
    ok: bool
    detail: str


def run_doctor(root: Path, *, live: bool) -> tuple[Check, ...]:
    """Check every part; a fault in one does not stop the others.

    Args:
        root: the workspace.
        live: also make one call to each service of the configuration. Without it, nothing leaves
            the machine.
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
        return (*checks, Check(name="configuration", ok=False, detail=str(error)))
    checks += _parts(root, settings, live=live)
    if live:
        checks += examine_services(root, settings)
    return tuple(checks)


def examine_services(root: Path, settings: Settings) -> tuple[Check, ...]:
    """Make one call to each configured service; a fault in one does not stop the others."""
    return tuple(_check(look.name, look) for look in service_checks(root, settings))


def _parts(root: Path, settings: Settings, *, live: bool) -> Iterator[Check]:
    """Check what is on this machine; with `live`, also what is in object stores."""
    try:
        context = open_context(root, settings, offline=True)
    except LiftwrightError as error:
        yield Check(name="configuration", ok=False, detail=str(error))
        return
    yield Check(name="configuration", ok=True, detail="all files are valid")
    with contextlib.closing(context):
        yield _check("content", lambda: _content(context))
        if live or not any(map(is_url, settings.customers.paths)):
            yield _check("customers", lambda: _customers(context))
        else:
            yield Check(name="customers", ok=True, detail="in an object store; checked with --live")
        export_to = settings.services.object_stores.export_to
        if live and export_to is not None:
            yield _check("export", lambda: _export(context, export_to))
        ports = context.ports
        for name, asked, look in (
            ("embedding model", (ports.embed,), _embed),
            # The embedded screener reads the vectors of whichever embedder there is.
            ("screener", (ports.screen, ports.embed), _screen),
            ("writer", (ports.complete,), _complete),
        ):
            if not any(port.metered for port in asked):
                yield _check(name, partial(look, context))


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, detail=look())
    except LiftwrightError as error:
        return Check(name=name, ok=False, detail=str(error))
    except OSError as error:
        return Check(name=name, ok=False, detail=f"{type(error).__name__}: {error.strerror}")


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
    found = verify_workspace(root)
    if not found.ok:
        raise LiftwrightError("; ".join(found.problems[:3]))
    return f"{found.lines} records, intact"


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


def _embed(context: RunContext) -> str:
    embed = context.ports.embed
    vectors = embed(("a short sentence",))
    return f"Connection successful: {embed.identity.model}, {vectors.shape[1]} dimensions"


def _screen(context: RunContext) -> str:
    check = safety.screener_check(context.screen, context.settings.safety)
    decision = safety.screen_text("Our shops open at nine.", [check])
    if decision.status != "pass":
        raise LiftwrightError(
            f"a harmless test sentence was blocked: {'; '.join(decision.reasons)}"
        )
    return f"Connection successful: {safety.screener_name(context.ports.screen.identity)}"


def _complete(context: RunContext) -> str:
    identity = context.ports.complete.identity
    context.ports.complete(connection_prompt(context.settings))
    return f"Connection successful: {identity.provider}/{identity.model}"
