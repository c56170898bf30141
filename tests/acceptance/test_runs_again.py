"""Running again: kept, begun anew, refused, refreshed, approved, measured by real outcomes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import campaign
import killed
import liftwright
import metered_writer
import stand_in
from liftwright.campaign import RunRequest, Workspace
from liftwright.errors import DataError, InputError
from metered_writer import MeteredWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.campaign import StageProgress

# What the tests share takes long to make: on one worker it is made once.
pytestmark = pytest.mark.xdist_group("runs_again")

MESSAGES = 12
KEPT = dict.fromkeys(campaign.STAGES, "kept")


@pytest.fixture(scope="module")
def paid(finished: Path) -> Iterator[MeteredWriter]:
    drafts = metered_writer.drafts_of(finished / "data" / "runs" / "campaign")
    with MeteredWriter(drafts).running() as running:
        yield running


@pytest.fixture(scope="module")
def original(
    finished: Path,
    paid: MeteredWriter,
    packages: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A workspace with one finished run under its default id; to be copied, not changed."""
    root = campaign.copy(finished, tmp_path_factory.mktemp("original") / "workspace")
    paid.serve(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        assert campaign.run(root).exit_status == 0
    return root


@pytest.fixture
def done(original: Path, tmp_path: Path, _installed: None) -> Path:
    root = tmp_path / "done"
    shutil.copytree(original, root)
    return root


@pytest.fixture(scope="module")
def base(original: Path) -> str:
    return Workspace(original).status().run_id


def files(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


def read(folder: Path, name: str) -> dict[str, object]:
    found = json.loads((folder / name).read_text())
    assert isinstance(found, dict)
    return found


# ── The same again ────────────────────────────────────────────────────────────────────────────


def test_run_with_equal_inputs_keeps_every_stage(done: Path, paid: MeteredWriter) -> None:
    folder = Workspace(done).folder().path
    before, requests, screened = files(folder), paid.requests, len(stand_in.asked(done))
    steps: list[StageProgress] = []
    outcome = campaign.run(done, seen=steps)
    assert campaign.states(steps) == KEPT
    assert (outcome.exit_status, outcome.folder) == (0, folder)
    assert files(folder) == before
    assert (paid.requests, len(stand_in.asked(done))) == (requests, screened)
    assert [run.run_id for run in Workspace(done).runs()] == [folder.name]


def test_run_with_other_ways_of_calling_is_the_same_run(done: Path, paid: MeteredWriter) -> None:
    overrides = (
        *("calls.concurrency=1", "calls.retries=5", "timeout_seconds.complete=7"),
        *("budget_usd=3.5", "engine_memory=2GB"),
    )
    steps: list[StageProgress] = []
    requests = paid.requests
    outcome = campaign.run(done, *overrides, seen=steps)
    assert campaign.states(steps) == KEPT
    assert len(Workspace(done).runs()) == 1
    assert (outcome.exit_status, paid.requests) == (0, requests)


def test_run_with_an_output_removed_makes_that_one_again(done: Path) -> None:
    folder = Workspace(done).folder().path
    expected = campaign.result(folder)
    (folder / "passages.json").unlink()
    (folder / "metrics.json").write_text("{}")
    steps: list[StageProgress] = []
    campaign.run(done, seen=steps)
    assert campaign.states(steps) == {**KEPT, "retrieve": "done", "measure": "done"}
    assert campaign.result(folder) == expected


# ── Something differs ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("changed", ["seed", "customers", "content"])
def test_run_with_other_settings_or_input_has_another_id(
    done: Path, base: str, changed: str
) -> None:
    before = files(done / "data/runs" / base)
    if changed == "customers":
        with (done / "data/raw/customers.csv").open("a") as file:
            file.write("C99999,40,Leeds,Gold,4.0,50.0,20,0.4,0.1\n")
    if changed == "content":
        (done / "data/content/approved_content/boot-care.json").unlink()
    overrides = ("experiment_config.seed=5",) if changed == "seed" else ()
    assert not campaign.stop_before(done, "segment", *overrides).name.startswith(base)
    assert files(done / "data/runs" / base) == before


def test_run_with_other_prohibited_phrases_is_another_run(
    done: Path, base: str, paid: MeteredWriter
) -> None:
    file = done / "config/prohibited_phrases.txt"
    before, requests = files(done / "data/runs" / base), paid.requests
    file.write_text("# nothing yet\n")
    assert campaign.run(done, run_id=base).run.run_id == base
    file.write_text("no such words\n")
    with pytest.raises(InputError, match="prohibited_phrase"):
        campaign.run(done, run_id=base)
    folder = campaign.stop_before(done, "assign")
    assert not folder.name.startswith(base)
    assert paid.requests == requests
    assert files(done / "data/runs" / base) == before
    policies = {line["policy_sha256"] for line in campaign.audit_lines(done)}
    assert len(policies) == 2


def command(
    root: Path, *arguments: str, paths: tuple[Path, ...]
) -> subprocess.CompletedProcess[str]:
    ours = (*paths, Path(__file__).parents[1], Path(liftwright.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, ours))}
    return subprocess.run(
        [sys.executable, "-c", "from liftwright.cli import main; main()", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_run_with_other_code_is_numbered_and_replays_what_was_paid(
    done: Path, paid: MeteredWriter, packages: Path, tmp_path: Path, base: str
) -> None:
    source = Path(liftwright.__file__).parent
    package = tmp_path / "code" / "liftwright"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    for shipped in ("config", "data"):
        (tmp_path / "code" / shipped).mkdir()
    with (package / "rules.py").open("a") as file:
        file.write("# other code\n")
    before, requests = files(done / "data/runs" / base), paid.requests
    paths = (package.parent, packages)
    refused = command(done, "run", "--run-id", base, paths=paths)
    assert refused.returncode == 2
    assert "code" in refused.stderr
    ran = command(done, "run", "--json", paths=paths)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["run_id"] == f"{base}-2"
    assert answer["totals"]["replayed_calls"] == MESSAGES
    assert answer["totals"]["cost_usd"] == 0
    assert paid.requests == requests
    assert files(done / "data/runs" / base) == before
    again = command(done, "run", "--json", paths=paths)
    assert json.loads(again.stdout)["run_id"] == f"{base}-2"
    assert Workspace(done).verify().ok


def test_run_with_another_version_of_an_adapter_is_another_run(
    done: Path, packages: Path, base: str
) -> None:
    before, log = files(done / "data/runs" / base), done / "logs/safety_audit.log"
    audited = log.read_bytes()
    stand_in.order(done, version="2")

    refused = command(done, "run", "--run-id", base, paths=(packages,))

    assert refused.returncode == 2
    assert "screen adapter: version: 1 → 2" in refused.stderr
    assert files(done / "data/runs") == {f"{base}/{name}": data for name, data in before.items()}
    assert log.read_bytes() == audited
    other = command(done, "run", "--json", paths=(packages,))
    assert other.returncode == 0, other.stderr
    run_id = json.loads(other.stdout)["run_id"]
    assert not run_id.startswith(base)
    assert files(done / "data/runs" / base) == before
    added = log.read_bytes().removeprefix(audited).decode().splitlines()
    assert len(added) == MESSAGES + 1
    assert all(run_id in line for line in added)


def test_run_measured_after_a_change_of_adapter_and_settings_keeps_its_messages(
    done: Path, base: str, tmp_path: Path
) -> None:
    folder = done / "data/runs" / base
    before, audited = files(folder), campaign.audit_lines(done)
    file = outcomes(folder, tmp_path / "real.csv", clicks=5)
    stand_in.order(done, version="2")
    outcome = campaign.run(done, "experiment_config.seed=5", run_id=base, engagement=file)
    assert (outcome.exit_status, outcome.run.simulated, outcome.run.measurements) == (0, False, 1)
    for name in ("variants.json", "decisions.json", "arms.json", "assignments.parquet"):
        assert (folder / name).read_bytes() == before[name]
    assert campaign.audit_lines(done) == audited
    # Measured or not, what was said to whom was said by another adapter.
    with pytest.raises(InputError, match="version: 1 → 2"):
        campaign.run(done, run_id=base)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["analysis.alpha=0.1"], ["experiment_config.yaml: analysis.alpha: 0.05 → 0.1"]),
        (
            ["safety_thresholds.threshold=2", "customers.on_bad_rows=reject"],
            ["safety_thresholds.yaml: threshold: 4 → 2", "customers.yaml: on_bad_rows"],
        ),
        (["adapters.screen=embedded"], ["screen adapter: provider: stand-in → embedded"]),
    ],
)
def test_run_under_a_finished_id_says_which_settings_differ(
    done: Path, base: str, overrides: list[str], named: list[str]
) -> None:
    with pytest.raises(InputError) as refused:
        campaign.run(done, *overrides, run_id=base)
    for name in named:
        assert name in str(refused.value)


def test_run_under_a_finished_id_whose_approvals_changed_is_refused(done: Path, base: str) -> None:
    folder = done / "data/runs" / base
    (folder / "approvals.json").write_text("[]")
    before = files(folder)
    with pytest.raises(InputError, match="stage screen"):
        campaign.run(done, run_id=base)
    assert files(folder) == before


def test_run_refreshed_is_numbered_asks_anew_and_resumes_without_paying_twice(
    done: Path, paid: MeteredWriter, base: str
) -> None:
    requests = paid.requests
    for _ in range(2):
        folder = campaign.stop_before(done, "ground", refresh=True)
        assert folder.name == f"{base}-2"
        (folder / "variants.json").unlink()
    assert paid.requests == requests + MESSAGES
    outcome = campaign.run(done)
    assert (outcome.run.run_id, paid.requests) == (base, requests + MESSAGES)


def test_run_under_a_finished_id_with_other_inputs_is_refused_after_bad_input(
    done: Path, base: str
) -> None:
    before = files(done / "data/runs")
    with pytest.raises(InputError, match="never rewritten") as refused:
        campaign.run(done, "experiment_config.seed=5", run_id=base)
    assert refused.value.exit_status == 2
    with pytest.raises(InputError, match="--refresh"):
        campaign.run(done, run_id=base, refresh=True)
    customers = done / "data/raw/customers.csv"
    customers.write_text(customers.read_text().replace("C00002", "C00001"))
    with pytest.raises(DataError, match="customer_id"):
        campaign.run(done, run_id=base)
    assert files(done / "data/runs") == before


# ── Approval ──────────────────────────────────────────────────────────────────────────────────


def test_run_that_needs_approval_waits_for_each_message(workspace: Path) -> None:
    # The second override changes the policy that the audit names: approving must use the same.
    needed = ("approval.required=true", "safety_thresholds.threshold=2")
    outcome = campaign.run(workspace, *needed)
    assert (outcome.exit_status, outcome.run.status) == (5, "waiting")
    assert not (outcome.folder / "assignments.parquet").exists()
    place, run_id = Workspace(workspace), outcome.run.run_id
    waiting = [
        one["variant_id"] for one in json.loads((outcome.folder / "decisions.json").read_text())
    ]
    assert len(waiting) == MESSAGES + 1
    for variant in waiting[1:]:
        assert place.approve(run_id, variant, "Ines").decided_by == "human:Ines"
    with pytest.raises(InputError, match="already approved"):
        place.approve(run_id, waiting[1], "Ines")
    with pytest.raises(InputError):
        place.approve(run_id, "0" * 12, "Ines")
    still = campaign.run(workspace, *needed)
    assert (still.exit_status, still.run.run_id) == (5, run_id)
    assert waiting[0] in str(still.reason)
    assert waiting[1] not in str(still.reason)
    place.approve(run_id, waiting[0], "Ines")
    ended = campaign.run(workspace, *needed)
    assert (ended.exit_status, ended.run.run_id) == (0, run_id)
    lines = campaign.audit_lines(workspace)
    people = [line for line in lines if line["screener"] == "human:Ines"]
    assert sorted(line["variant_id"] for line in people) == sorted(waiting)
    assert len(lines) == 2 * len(waiting)
    assert {row[3] for row in campaign.rows(ended.folder / "assignments.parquet")} == set(waiting)
    assert place.verify(run_id).ok
    with pytest.raises(InputError):
        place.approve(run_id, waiting[0], "Ines")


# ── Measured by real outcomes ─────────────────────────────────────────────────────────────────


def outcomes(folder: Path, file: Path, *, clicks: int) -> Path:
    """Real outcomes of a run; ten customers have no row."""
    assigned = sorted(campaign.rows(folder / "assignments.parquet"))
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["customer_id", "arm", "opened", "clicked"])
        for number, (customer, _, arm, _) in enumerate(assigned[:-10]):
            writer.writerow([customer, arm, 1, int(number < clicks)])
    return file


def test_run_measured_by_real_outcomes_moves_the_simulated_measurement(
    done: Path, base: str, tmp_path: Path, paid: MeteredWriter
) -> None:
    folder = done / "data/runs" / base
    simulated = files(folder)
    shutil.rmtree(done / "data/raw")
    shutil.rmtree(done / "data/content")
    requests = paid.requests
    first = outcomes(folder, tmp_path / "first.csv", clicks=5)
    steps: list[StageProgress] = []
    outcome = campaign.run(done, run_id=base, engagement=first, seen=steps)
    assert (outcome.exit_status, outcome.run.simulated) == (0, False)
    assert campaign.states(steps) == dict.fromkeys(("observe", "measure", "report"), "done")
    assert read(folder, "metrics.json")["simulated"] is False
    assert read(folder / "measurements/1", "metrics.json")["simulated"] is True
    moved = files(folder / "measurements/1")
    assert moved == {name: simulated[name] for name in moved}
    assert {"engagement.parquet", "report/experiment_report.pdf"} <= set(moved)
    engagement = read(folder, "engagement.json")
    assert (engagement["source"], engagement["rows"]) == ("historical", 50)
    assert (engagement["rows_used"], engagement["customers_missing"]) == (50, 10)
    delivered = [row[4] for row in campaign.rows(folder / "engagement.parquet")]
    assert delivered.count(False) == 10
    for name in ("assignments.parquet", "variants.json", "decisions.json", "arms.json"):
        assert (folder / name).read_bytes() == simulated[name]

    before = files(folder)
    steps.clear()
    kept = campaign.run(done, run_id=base, engagement=first, seen=steps)
    assert set(campaign.states(steps).values()) == {"kept"}
    assert (kept.exit_status, kept.run.measurements) == (0, 1)
    unchanged = files(folder)
    assert {**unchanged, "run.json": b""} == {**before, "run.json": b""}

    second = outcomes(folder, tmp_path / "second.csv", clicks=20)
    later = campaign.run(done, run_id=base, engagement=second)
    assert later.run.measurements == 2
    assert files(folder / "measurements/2")["metrics.json"] == before["metrics.json"]
    course = read(folder, "metrics.json")["course"]
    assert isinstance(course, list)
    assert [row["look"] for row in course] == [1, 1, 1, 2, 2, 2]
    assert (folder / "metrics.json").read_bytes() != before["metrics.json"]
    assert paid.requests == requests
    assert Workspace(done).verify().ok


def test_run_with_real_outcomes_from_the_start_needs_no_simulator(
    done: Path, base: str, tmp_path: Path
) -> None:
    file = outcomes(done / "data/runs" / base, tmp_path / "real.csv", clicks=5)
    folder = campaign.stop_before(done, "report", run_id="real", engagement=file)
    assert read(folder, "metrics.json")["simulated"] is False
    assert not (folder / "measurements").exists()


@pytest.mark.parametrize("text", ["", "customer_id\nC00001\n", "customer_id,opened\nstranger,1\n"])
def test_run_measured_by_a_useless_file_leaves_the_measurement_alone(
    done: Path, base: str, tmp_path: Path, text: str
) -> None:
    folder = done / "data/runs" / base
    before = files(folder)
    file = tmp_path / "useless.csv"
    file.write_text(text)
    with pytest.raises(DataError, match="useless"):
        campaign.run(done, run_id=base, engagement=file)
    assert files(folder) == before


def test_run_killed_at_every_moment_of_measuring_again_ends_as_an_undisturbed_one(
    done: Path, base: str, tmp_path: Path
) -> None:
    folder = done / "data/runs" / base
    file = outcomes(folder, tmp_path / "real.csv", clicks=5)
    other = tmp_path / "undisturbed"
    shutil.copytree(done, other)
    campaign.run(other, run_id=base, engagement=file)
    run, report = f"data/runs/{base}/run.json", f"data/runs/{base}/report/experiment_report"
    # The report takes long to write, and is killed in the test of a whole run.
    met = killed.met_already(
        tmp_path / "met.jsonl",
        *(("report", "rename", f"{report}.{form}", 1) for form in ("ipynb", "pdf")),
        *(("report", "rename", run, number) for number in (1, 2)),
    )
    request = RunRequest(run_id=base, engagement=file)
    half = 0
    while (status := killed.ended(killed.start(done, request, met=met))) != 0:
        assert status == -9
        if any(stage.status == "unfinished" for stage in Workspace(done).status(base).stages):
            half += 1
            if half == 1:
                with pytest.raises(InputError, match="--engagement FILE"):
                    campaign.run(done)
    assert half
    assert campaign.result(folder) == campaign.result(other / "data/runs" / base)
