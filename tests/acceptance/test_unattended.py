"""Runs without a person at the terminal: schedules, containers, variables, JSON logs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from liftwright.api.session import workspace_root
from liftwright.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


ROOT = Path(__file__).parents[2]


@pytest.fixture
def done(finished: Path, tmp_path: Path, _installed: None) -> Path:
    """A copy of the finished workspace, with its run."""
    return Path(shutil.copytree(finished, tmp_path / "done"))


def liftwright(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=variables)


def test_workspace_variable_chooses_the_workspace_of_every_command(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("LIFTWRIGHT_WORKSPACE", str(done))
    assert json.loads(liftwright("status", "--json").stdout)["run_id"] == "campaign"
    assert workspace_root(None) == done
    assert workspace_root(tmp_path) == tmp_path
    assert liftwright("runs", "--workspace", str(tmp_path)).exit_code == 2
    assert liftwright("init", LIFTWRIGHT_WORKSPACE=str(tmp_path / "new")).exit_code == 0
    assert (tmp_path / "new/config/customers.yaml").is_file()


@pytest.mark.parametrize(
    "command", [["runs"], ["status"], ["verify"], ["report"], ["approve", "RUN", "VARIANT"]]
)
def test_folder_without_a_workspace_is_refused(tmp_path: Path, command: list[str]) -> None:
    answer = liftwright(*command, "--workspace", str(tmp_path))
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert str(tmp_path) in answer.stderr
    assert "liftwright init" in answer.stderr


def test_json_log_goes_to_stderr_and_replaces_tables(done: Path) -> None:
    place = ("--workspace", str(done))
    answer = liftwright("run", *place, "--run-id", "campaign", LIFTWRIGHT_LOG="json")
    assert (answer.exit_code, answer.stdout) == (0, "")
    lines = [json.loads(line) for line in answer.stderr.splitlines()]
    assert lines == [json.loads(line) for line in log_lines(done)[-len(lines) :]]
    assert lines[-1]["action"] == "run_kept"
    answer = liftwright("run", *place, "--run-id", "campaign", "--json", LIFTWRIGHT_LOG="json")
    assert json.loads(answer.stdout)["repeated"] is True
    assert liftwright("status", *place, LIFTWRIGHT_LOG="json").stdout == ""
    answer = liftwright("status", "nothing", *place, LIFTWRIGHT_LOG="json")
    (line,) = (json.loads(text) for text in answer.stderr.splitlines())
    assert (answer.exit_code, line["action"]) == (2, "command_failed")
    assert line["context"]["exit_status"] == 2
    answer = liftwright("runs", *place, LIFTWRIGHT_LOG="xml")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "'xml'" in answer.stderr


def log_lines(root: Path) -> list[str]:
    return (root / "logs/system.log").read_text(encoding="utf-8").splitlines()


def test_repeated_run_says_so_in_its_first_line(done: Path) -> None:
    answer = liftwright("run", "--workspace", str(done), "--run-id", "campaign")
    first = answer.stdout.splitlines()[0]
    assert "campaign" in first
    assert "already finished" in first


def test_run_id_with_a_date_is_a_new_run_each_day(workspace: Path) -> None:
    before = datetime.now(UTC).date()
    answer = liftwright("run", "--workspace", str(workspace), "--run-id", "a-{date}", "--json")
    found = json.loads(answer.stdout)
    assert found["run_id"] in {f"a-{day}" for day in (before, datetime.now(UTC).date())}
    assert (found["exit_status"], found["repeated"]) == (0, False)
    assert "{date}" in liftwright("run", "--run-id", "a-{day}").stderr
    status = liftwright("status", "a-{date}", "--workspace", str(workspace), "--json")
    assert json.loads(status.stdout)["run_id"] == found["run_id"]


def test_health_of_a_sound_workspace_names_its_last_good_run(done: Path) -> None:
    (finished,) = json.loads(liftwright("runs", "--workspace", str(done), "--json").stdout)
    before = set(done.rglob("*"))
    answer = liftwright("health", "--workspace", str(done), "--max-age-hours", "1", "--json")
    assert json.loads(answer.stdout) == {
        **dict.fromkeys(("ok", "configuration", "store", "audit"), True),
        "last_good_run_at": finished["finished_at"],
        "problems": [],
    }
    assert answer.exit_code == 0
    assert set(done.rglob("*")) == before


def _break_configuration(root: Path) -> None:
    (root / "config/segments.yaml").write_text("method: [")


def _break_store(root: Path) -> None:
    (root / "data/ledger.sqlite").write_text("no database at all" * 100)


def _break_audit(root: Path) -> None:
    log = root / "logs/safety_audit.log"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))


def _age_run(root: Path) -> None:
    record = root / "data/runs/campaign/run.json"
    run = json.loads(record.read_text())
    record.write_text(json.dumps(run | {"finished_at": "2026-01-02T03:04:05Z"}))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (_break_configuration, "configuration"),
        (_break_store, "store"),
        (_break_audit, "audit"),
        (_age_run, "last"),
    ],
)
def test_health_names_what_is_wrong_and_exits_with_1(
    done: Path, change: Callable[[Path], None], broken: str
) -> None:
    change(done)
    place = ("--workspace", str(done), "--json")
    answer = liftwright("health", *place, LIFTWRIGHT_HEALTH_MAX_AGE_HOURS="24")
    found = json.loads(answer.stdout)
    assert (answer.exit_code, found["ok"]) == (1, False)
    assert [name for name in ("configuration", "store", "audit") if not found[name]] == [
        name for name in (broken,) if name != "last"
    ]
    assert [problem.split()[0].rstrip(":") for problem in found["problems"]] == [broken]


def commands_of(page: str) -> str:
    """The shell commands of a documentation page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.usefixtures("_installed")
def test_backup_as_documented_is_restored_into_an_empty_folder_and_verified(
    finished: Path, tmp_path: Path, packages: Path
) -> None:
    source = Path(shutil.copytree(finished, tmp_path / "my-campaign"))
    original = {path.relative_to(source): path.read_bytes() for path in files(source)}
    (source / ".env").write_text("A_KEY=secret\n")
    script = "".join(["set -e\n", *map(commands_of, ("backup.md", "restore.md"))])
    done = subprocess.run(
        ["bash", "-c", script],  # noqa: S607 - bash is bash
        cwd=tmp_path,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": ":".join(map(str, (packages, ROOT / "src", ROOT / "tests"))),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    restored = tmp_path / "restored"
    found = {path.relative_to(restored): path.read_bytes() for path in files(restored)}
    assert found == original
    answer = liftwright("run", "--workspace", str(restored), "--run-id", "campaign", "--json")
    assert (answer.exit_code, json.loads(answer.stdout)["repeated"]) == (0, True)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
