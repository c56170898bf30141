"""What a person can do with a workspace: run, plan, report, verify, search, analyze and more."""

from __future__ import annotations

from liftwright.campaign.analyze import AnalyzeRequest, analyze_file
from liftwright.campaign.doctor import Check
from liftwright.campaign.plan import Plan
from liftwright.campaign.requests import RunOutcome, RunRequest
from liftwright.campaign.run_context import Step
from liftwright.campaign.scaffold import init_workspace
from liftwright.campaign.workspace import Workspace

__all__ = [
    "AnalyzeRequest",
    "Check",
    "Plan",
    "RunOutcome",
    "RunRequest",
    "Step",
    "Workspace",
    "analyze_file",
    "init_workspace",
]
