"""Opens a workspace: its lock, adapters, audit log and keys, and a check of its ledger."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from typing import TYPE_CHECKING

from liftwright.audit import AuditLog
from liftwright.calls.cache_policy import longest_reply
from liftwright.calls.client import Calls
from liftwright.calls.pricing import pricing_by_port
from liftwright.campaign.context import RunContext, StageProgress
from liftwright.config import environment
from liftwright.errors import ConfigurationError, InputError, IntegrityError, WorkspaceBusy
from liftwright.model.run_files import RunFolder, all_runs, write_atomically
from liftwright.wiring import make_observer, make_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.ports import Ports


def open_context(  # noqa: PLR0913 - the options of a request
    root: Path,
    settings: Settings,
    *,
    engagement: str | Path | None = None,
    refresh: bool = False,
    offline: bool = False,
    notify: Callable[[StageProgress], None] = lambda _: None,
) -> RunContext:
    """Create the context for a workspace's settings; run and folder are set later.

    With `offline`, no network call is made; such a context is for inspection only.
    """
    calls = Calls(settings.services.calls)
    ports = make_ports(root, settings, environment(root), calls=calls, offline=offline)
    _check_budget(settings, ports)
    return RunContext(
        root=root,
        settings=settings,
        ports=ports,
        calls=calls,
        folder=RunFolder(root),
        audit=audit_log(root),
        observer=lambda tables, file: make_observer(tables, settings, file, root),
        engagement=engagement,
        refresh=refresh,
        notify=notify,
    )


def _check_budget(settings: Settings, ports: Ports) -> None:
    """Reject a budget if the maximum cost of a call is unknown."""
    services = settings.services
    if services.budget_usd is None:
        return
    for pricing in pricing_by_port(ports, services).values():
        if pricing.missing:
            raise ConfigurationError(
                f"config/azure_config.yaml: {pricing.key}: found no price, needed to "
                f"enforce the budget of {services.budget_usd:g} USD"
            )
    if ports.complete.metered and longest_reply(ports.complete) is None:
        raise ConfigurationError(
            f"config/azure_config.yaml: adapters.complete: {services.adapters.complete!r} has no "
            "attribute max_output_tokens, needed to enforce the budget of "
            f"{services.budget_usd:g} USD"
        )


def audit_log(root: Path) -> AuditLog:
    """The workspace's audit log, keyed if LIFTWRIGHT_AUDIT_KEY is set."""
    key = environment(root).get("LIFTWRIGHT_AUDIT_KEY", "").encode() or None
    return AuditLog(root / "logs" / "safety_audit.log", key)


def log_key(root: Path) -> bytes:
    """The key that pseudonymises customers in logs: LIFTWRIGHT_LOG_KEY, else the workspace's key.

    The workspace's key is random, created at first use and readable only by its owner.
    """
    given = environment(root).get("LIFTWRIGHT_LOG_KEY", "")
    if given:
        return given.encode()
    path = root / "data" / "log.key"
    if not path.is_file():
        write_atomically(path, secrets.token_hex(32).encode(), mode=0o600)
    return path.read_bytes()


def check_ledger(root: Path) -> None:
    """Check that the ledger exists if any run paid for calls.

    Raises:
        IntegrityError: the ledger is missing; names the run.
    """
    ledger = root / "data" / "ledger.sqlite"
    if ledger.is_file():
        return
    for folder in all_runs(root):
        record = folder.record()
        if record is not None and record.metered_calls:
            raise IntegrityError(
                f"{ledger}: missing, but run {record.run_id} has "
                f"{record.metered_calls} paid calls; restore it, or move the run elsewhere"
            )


def check_is_workspace(root: Path) -> None:
    """Check that a folder holds a workspace: its configuration, or at least runs.

    Raises:
        InputError: it holds neither.
    """
    if not (root / "config").is_dir() and not runs_folder(root).is_dir():
        raise InputError(
            f"{root.absolute()}: no workspace here; create one with `liftwright init DIR`, or "
            "choose one with `--workspace DIR` or the variable LIFTWRIGHT_WORKSPACE"
        )


def runs_folder(root: Path) -> Path:
    """The folder of a workspace's runs."""
    return root / "data" / "runs"


@contextlib.contextmanager
def workspace_lock(root: Path) -> Iterator[None]:
    """Lock the workspace: one run at a time.

    Raises:
        WorkspaceBusy: another process holds the lock; names it.
    """
    path = root / "data" / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{path}: the workspace is not writable ({error.strerror})") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode("utf-8", "replace").strip()
            raise WorkspaceBusy(
                f"{root}: another run is using this workspace ({holder or 'another process'}); "
                "wait for it, or use another workspace"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be locked ({error.strerror})") from None
        # The process id is only informative: a full disk must not stop the run here.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()}".encode())
        yield
    finally:
        os.close(descriptor)
