"""Verifies the audit log and the runs' files against it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.agents import safety
from liftwright.campaign.bootstrap import audit_log, check_ledger
from liftwright.campaign.run_resolver import RUNNING
from liftwright.errors import LiftwrightError
from liftwright.model import SafetyDecision
from liftwright.model.run_files import RunFolder, Variants, all_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.audit import AuditLog, Verification
    from liftwright.model import Run


def verify_workspace(root: Path) -> Verification:
    """Recompute the hash chain and compare every run's messages and decisions with it.

    Raises:
        IntegrityError: the ledger is missing, although a run paid for calls.
    """
    folders = [(folder, run) for folder in all_runs(root) if (run := folder.record())]
    log = audit_log(root)
    check_ledger(root)
    verification = log.verify(
        [run.audit for _, run in folders if run.audit is not None],
        unfinished=[run.run_id for _, run in folders if run.status == RUNNING],
    )
    if not verification.ok:
        return verification
    problems = tuple(
        problem
        for folder, run in folders
        if run.audit is not None and run.audit.count and run.status != RUNNING
        for problem in _inconsistencies(folder, run, log)
    )
    return replace(verification, ok=not problems, problems=problems)


def _inconsistencies(folder: RunFolder, run: Run, log: AuditLog) -> Iterator[str]:
    """The differences between a run's files and the log."""
    try:
        decisions = folder.read_list("decisions.json", SafetyDecision)
        messages = {v.variant_id: v for v in folder.read("variants.json", Variants).all}
    except LiftwrightError as error:
        yield f"run {run.run_id}: {error}"
        return
    logged = {
        (record.variant_id, record.content_sha256, record.status)
        # A run of late arrivals sends messages that another run screened.
        for record in log.records(run.audit.run_id if run.audit else run.run_id)
    }
    for decision in decisions:
        name = f"run {run.run_id}: variant {decision.variant_id}"
        if (decision.variant_id, decision.content_sha256, decision.status) not in logged:
            yield f"{name}: {decision.status!r} in decisions.json, but not in the audit log"
        message = messages.get(decision.variant_id)
        if message is None:
            yield f"{name}: has a decision, but is missing from variants.json"
        elif safety.content_sha256(message) != decision.content_sha256:
            yield f"{name}: the text in variants.json differs from the screened text"
    for variant_id in messages.keys() - {decision.variant_id for decision in decisions}:
        yield f"run {run.run_id}: variant {variant_id}: in variants.json, but without a decision"
