"""The workflows call existing targets with least permissions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(request.param.read_text("utf-8"))
    return found


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_workflow_runs_make_targets_that_exist_and_nothing_else(workflow: dict[Any, Any]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    called = {re.sub(r"^make ", "", command) for command in commands}
    assert all(command.startswith("make ") for command in commands)
    assert called <= targets
    assert called >= {"check", "test", "contracts", "smoke", "image", "audit", "lint-workflows"}


def test_workflow_tests_every_python_that_the_package_names(workflow: dict[Any, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [
        item.rpartition(" ")[2]
        for item in project["classifiers"]
        if re.search(r":: Python :: 3\.\d+$", item)
    ]
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert workflow["jobs"]["test"]["strategy"]["fail-fast"] is False


def test_workflow_has_least_permissions_and_bounded_time(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    for name, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 60, name
        assert "permissions" not in job, name


def test_workflow_pins_actions_and_keeps_no_credentials(workflow: dict[Any, Any]) -> None:
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+(\.\d+)*|[\w./-]+@[0-9a-f]{40}", step["uses"])
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_workflow_puts_nothing_of_an_event_into_a_command(workflow: dict[Any, Any]) -> None:
    # Otherwise a stranger's issue title could run as a command.
    assert [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")] == []
