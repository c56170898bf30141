"""Customers from an object store, tables to one: the campaign over S3, by moto's server."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest
from typer.testing import CliRunner

import campaign
import s3_server
from liftwright import analyze
from liftwright.campaign import RunRequest, Workspace
from liftwright.campaign.bootstrap import open_context
from liftwright.campaign.pipeline import export_stages, run_stages
from liftwright.cli import app
from liftwright.cli.terminal import show_run
from liftwright.errors import InputError
from liftwright.model.run_files import RunFolder
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_server import S3Server

pytestmark = pytest.mark.xdist_group("s3")
TABLES = ("segmented", "assignments", "unassigned", "engagement")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server.running() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A bucket of the test's own, and the environment of somebody who may use it."""
    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{abs(hash(request.node.name)):x}"
    server.make(bucket)
    return bucket


def parquet(root: Path) -> bytes:
    """The campaign's customers as Parquet."""
    file = root / "customers.parquet"
    rows = root / "data" / "raw" / "customers.csv"
    duckdb.execute(f"copy (from read_csv('{rows}')) to '{file}'")
    return file.read_bytes()


def nowhere_but_in_the_environment(root: Path, secret: str) -> None:
    held = [file for file in root.rglob("*") if file.is_file()]
    assert held
    assert [file for file in held if secret.encode() in file.read_bytes()] == []


def test_run_with_customers_from_s3_makes_the_same_files_as_from_here(
    server: S3Server,
    s3: str,
    finished: Path,
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = parquet(workspace)
    server.keep_versions(s3)
    server.put(s3, "in/part.parquet", data)
    shutil.rmtree(workspace / "data" / "raw")
    asked = f"object_stores.export_to=s3://{s3}/out"
    place = f"s3://{s3}/in/"
    outcome = campaign.run(workspace, asked, run_id="campaign", customers=place)
    assert outcome.exit_status == 0
    before, here = finished / "data" / "runs" / "campaign", outcome.folder
    assert (here / "segmented.parquet").read_bytes() == (before / "segmented.parquet").read_bytes()
    for name in ("segments.json", "customers.json", "claims.json"):
        assert (here / name).read_text() == (before / name).read_text()
    metrics = [json.loads((each / "metrics.json").read_text()) for each in (here, before)]
    assert metrics[0]["comparisons"] == metrics[1]["comparisons"]
    # What was put is what is here, and the list of it names each by its digest.
    listed = json.loads(server.get(s3, "out/campaign/export.json"))
    assert listed == json.loads((here / "export.json").read_text())
    assert [one["url"].rpartition("/")[2] for one in listed["files"]] == [
        f"{table}.parquet" for table in TABLES
    ]
    for table, one in zip(TABLES, listed["files"], strict=True):
        put = server.get(s3, f"out/campaign/{table}.parquet")
        assert put == (here / f"{table}.parquet").read_bytes()
        assert hashlib.sha256(put).hexdigest() == one["sha256"]
    assert list((workspace / "data").glob("engine-*")) == []
    nowhere_but_in_the_environment(workspace, s3_server.CANARY)
    show_run(outcome, json=False)
    assert f"s3://{s3}/out/campaign" in capsys.readouterr().out

    # The same bytes, put there again, are the same input.
    seen: list[campaign.StageProgress] = []
    server.put(s3, "in/part.parquet", data)
    campaign.run(workspace, asked, run_id="campaign", customers=place, seen=seen)
    assert {step.state for step in seen} == {"kept"}
    assert seen[-1].stage == "export"
    # With another list of what was put, all that is missing is put once more, and nothing else.
    torn = (here / "export.json").read_text().replace("out/campaign/segmented", "out/segmented")
    (here / "export.json").write_text(torn)
    server.delete(s3, "out/campaign/unassigned.parquet")
    puts = server.puts(s3)
    seen.clear()
    campaign.run(workspace, asked, run_id="campaign", customers=place, seen=seen)
    assert {step.stage for step in seen if step.state != "kept"} == {"export"}
    again = {key for key, number in server.puts(s3).items() if number > puts[key]}
    assert again == {
        f"out/campaign/{name}"
        for name in ("segmented.parquet", "unassigned.parquet", "export.json")
    }
    listed_again = json.loads(server.get(s3, "out/campaign/export.json"))
    assert listed_again["files"] == listed["files"]
    # Other bytes are another input.
    file = workspace / "fewer.parquet"
    duckdb.execute(f"copy (from '{workspace / 'customers.parquet'}' limit 50) to '{file}'")
    server.put(s3, "in/part.parquet", file.read_bytes())
    with pytest.raises(InputError, match="Different now: customers"):
        campaign.run(workspace, asked, run_id="campaign", customers=place)


def test_run_whose_store_gives_out_at_the_end_is_whole_here_and_resumes_and_is_measured(
    server: S3Server, s3: str, finished: Path, workspace: Path
) -> None:
    assignments = finished / "data" / "runs" / "campaign" / "assignments.parquet"
    file = workspace / "suppressed.csv"
    duckdb.execute(f"copy (select customer_id from '{assignments}' limit 5) to '{file}'")  # noqa: S608 - ours
    server.put(s3, "lists/suppressed.csv", file.read_bytes())
    target = f"{s3}-out"
    server.make(target)
    asked = (
        f"object_stores.export_to=s3://{target}/runs/",
        f"exclusions.suppressed=s3://{s3}/lists/suppressed.csv",
    )

    def lose(step: campaign.StageProgress) -> None:
        if (step.stage, step.state) == ("export", "started"):
            server.delete_bucket(target)

    request = RunRequest(overrides=asked, run_id="lost")
    stopped = Workspace(workspace).run(request, notify=lose)
    assert (stopped.run.status, stopped.exit_status) == ("unfinished", 2)
    assert target in str(stopped.reason)
    assert (stopped.folder / "metrics.json").is_file()
    assert not (stopped.folder / "export.json").exists()
    left_out = json.loads((stopped.folder / "arms.json").read_text())["left_out"]
    assert left_out == {"suppressed": 5}

    server.make(target)
    seen: list[campaign.StageProgress] = []
    resumed = campaign.run(workspace, *asked, run_id="lost", seen=seen)
    assert resumed.exit_status == 0
    assert {step.stage for step in seen if step.state == "done"} == {"export"}
    simulated = server.get(target, "runs/lost/engagement.parquet")

    outcomes = workspace / "outcomes.csv"
    duckdb.execute(
        f"copy (select customer_id, true as delivered, true as opened, false as clicked "  # noqa: S608 - ours
        f"from '{resumed.folder / 'assignments.parquet'}') to '{outcomes}'"
    )
    server.put(s3, "real/outcomes.csv", outcomes.read_bytes())
    url = f"s3://{s3}/real/outcomes.csv"
    measured = campaign.run(workspace, *asked, run_id="lost", engagement=url)
    assert (measured.exit_status, measured.run.simulated) == (0, False)
    found = json.loads((measured.folder / "engagement.json").read_text())
    assert found["rows_used"] == campaign.CUSTOMERS - 5
    put = server.get(target, "runs/lost/engagement.parquet")
    assert put == (measured.folder / "engagement.parquet").read_bytes() != simulated
    again = campaign.run(workspace, *asked, run_id="lost", engagement=url)
    assert again.run.measurements == measured.run.measurements


def test_export_of_a_table_in_parts_puts_each_of_them(
    server: S3Server, s3: str, finished: Path, workspace: Path
) -> None:
    before = finished / "data" / "runs" / "campaign"
    here = workspace / "data" / "runs" / "campaign"
    shutil.copytree(before, here)
    parts = here / "segmented.parquet"
    parts.unlink()
    parts.mkdir()
    for number in range(2):
        shutil.copy(before / "segmented.parquet", parts / f"part-{number:05}.parquet")
    settings = read_settings(workspace, (f"object_stores.export_to=s3://{s3}/out",))
    with closing(open_context(workspace, settings)) as work:
        work.folder = RunFolder(here)
        work.run = campaign.record(here)
        run_stages(export_stages(work), work)
    listed = json.loads(server.get(s3, "out/campaign/export.json"))
    assert [one["url"].rpartition("campaign/")[2] for one in listed["files"]] == [
        "segmented.parquet/part-00000.parquet",
        "segmented.parquet/part-00001.parquet",
        *(f"{table}.parquet" for table in TABLES[1:]),
    ]
    assert (
        server.get(s3, "out/campaign/segmented.parquet/part-00001.parquet")
        == (before / "segmented.parquet").read_bytes()
    )


def test_doctor_looks_into_stores_only_live(server: S3Server, s3: str, workspace: Path) -> None:
    server.put(s3, "c.csv", (workspace / "data" / "raw" / "customers.csv").read_bytes())
    with (workspace / "config" / "azure_config.yaml").open("a") as file:
        file.write(f"object_stores: {{export_to: s3://{s3}/out}}\n")
    (workspace / "config" / "customers.yaml").write_text(f"path: s3://{s3}/c.csv\n")
    place = Workspace(workspace)
    found = {check.name: check for check in place.doctor(live=False)}
    assert "export" not in found
    assert "--live" in found["customers"].detail
    found = {check.name: check for check in place.doctor(live=True)}
    assert found["customers"].detail == f"{campaign.CUSTOMERS} rows, {campaign.CUSTOMERS} kept"
    assert found["export"].detail == f"Connection successful: s3://{s3}/out"
    server.delete(s3, "c.csv")
    server.delete_bucket(s3)
    found = {check.name: check for check in place.doctor(live=True)}
    for name in ("customers", "export"):
        assert not found[name].ok
        assert s3 in found[name].detail


def test_analyze_reads_a_url_from_python_and_from_the_command_line(
    server: S3Server, s3: str
) -> None:
    lines = [f"u{n},{'ab'[n % 2]},{int(n % 7 == 0)}" for n in range(400)]
    server.put(s3, "results.csv", "\n".join(["unit,arm,clicked", *lines]).encode())
    url = f"s3://{s3}/results.csv"
    found = analyze(url, arm="arm", control="a", metrics="clicked")
    options = [url, "--arm", "arm", "--control", "a", "--metric", "clicked", "--json"]
    printed = CliRunner().invoke(app, ["analyze", *options])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == found.to_json()
    wrong = CliRunner().invoke(app, ["analyze", url.replace("results", "nothing"), *options[1:]])
    assert wrong.exit_code == 2
    assert f"s3://{s3}/nothing.csv" in wrong.stderr


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("s3://nobody-has-it/c.csv", "no such bucket or container: nobody-has-it"),
        ("s4://bucket/c.csv", "did you mean s3://?"),
        ("s3://BUCKET/none/", "s3://BUCKET/none/: no such object or folder"),
        ("s3://BUCKET/in/", "s3://BUCKET/in/: a folder without .parquet files"),
        ("s3://BUCKET/in/c.csv", "s3://BUCKET/in/c.csv: 1 of 2 rows"),
    ],
)
def test_run_command_on_a_url_that_does_not_serve_exits_2(
    server: S3Server, s3: str, workspace: Path, place: str, told: str
) -> None:
    header = (workspace / "data" / "raw" / "customers.csv").read_text().splitlines()[:2]
    torn = header[1].replace(header[1].partition(",")[0], "", 1)
    server.put(s3, "in/c.csv", "\n".join([*header, torn]).encode())
    url = place.replace("BUCKET", s3)
    options = ["--workspace", str(workspace), "--customers", url]
    ended = CliRunner().invoke(app, ["run", *options])
    assert ended.exit_code == 2
    assert told.replace("BUCKET", s3) in ended.stderr.replace("\n", "")
    assert s3_server.CANARY not in ended.output
