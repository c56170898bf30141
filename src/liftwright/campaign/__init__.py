"""Campaigns in a workspace: plan, run, resume, measure, report, verify, search and analyze.

`workspace.py` is the facade. `run.py` starts, resumes and measures runs, and `run_resolver.py`
finds the run that a request means. `pipeline.py` has the table of stages, `stages/` has their
functions, `context.py` what they share, and `checks.py` the list of checks on messages.
"""

from __future__ import annotations

from liftwright.campaign.analyze import AnalyzeRequest, analyze_file
from liftwright.campaign.context import StageProgress
from liftwright.campaign.doctor import Health, HealthCheck
from liftwright.campaign.plan import Plan
from liftwright.campaign.run import RunOutcome
from liftwright.campaign.run_resolver import RunRequest
from liftwright.campaign.sample import init_workspace
from liftwright.campaign.workspace import Workspace

__all__ = [
    "AnalyzeRequest",
    "Health",
    "HealthCheck",
    "Plan",
    "RunOutcome",
    "RunRequest",
    "StageProgress",
    "Workspace",
    "analyze_file",
    "init_workspace",
]
