"""What a run tells of itself: one tree of spans, sums that agree with run.json, and no text."""

from __future__ import annotations

import json
import socket
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

import campaign
from azure_server.faults import Fault
from azure_server.mlflow import MLflowService
from azure_server.monitor import HEADER, KEY, CollectorService, MonitorService
from compatible_server import failure

if TYPE_CHECKING:
    from pathlib import Path

    from azure_server.monitor import ReceivedSpan, Receiver
    from azure_server.server import AzureServer, Handler
    from metered_writer import MeteredWriter

pytestmark = pytest.mark.usefixtures("writer")

TOKEN = "canary-token-40d3"  # noqa: S105 - of the tests' own server
CHAT = "chat served-model"
SERVICES = {"azure_monitor": MonitorService, "otlp": CollectorService}


@pytest.fixture(params=SERVICES)
def exporter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def tracker() -> MLflowService:
    return MLflowService(TOKEN)


@pytest.fixture
def azure_handlers(tracker: MLflowService) -> list[Handler]:
    return [*(make() for make in SERVICES.values()), tracker]


@pytest.fixture
def receiver(exporter: str, azure_handlers: list[Handler]) -> Receiver:
    (found,) = (one for one in azure_handlers if isinstance(one, SERVICES[exporter]))
    return found


def options(exporter: str, url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The overrides of a run that sends to this address."""
    monkeypatch.setenv("MONITOR", f"InstrumentationKey={KEY};IngestionEndpoint={url}")
    monkeypatch.setenv("COLLECTOR", json.dumps({HEADER[0]: HEADER[1]}))
    block = {
        "azure_monitor": "{connection_string_secret: MONITOR, flush_seconds: 60}",
        "otlp": f"{{endpoint: '{url}', headers_secret: COLLECTOR, flush_seconds: 60}}",
    }
    return (
        f"adapters.telemetry={exporter}",
        f"azure_config.{exporter}={block[exporter]}",
        "authentication.method=api_key",  # the connection string alone
    )


@pytest.fixture
def sending(
    exporter: str,
    azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[str, ...]:
    return options(exporter, azure_server.url, monkeypatch)


def of_calls(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    return [span for span in spans if "liftwright.service" in span.attributes]


def assert_one_tree(spans: list[ReceivedSpan], run_id: str) -> None:
    """One run, its ten stages below it, and every call to a service below its stage."""
    (run,) = (span for span in spans if span.name == "run")
    stages = {span.span_id: span for span in spans if span.name.startswith("stage ")}
    calls = of_calls(spans)
    assert len(spans) == 1 + len(stages) + len(calls)
    assert {span.trace_id for span in spans} == {run.trace_id}
    assert run.parent_id not in {span.span_id for span in spans}
    assert run.ok
    assert run.attributes["liftwright.run_id"] == run_id
    assert run.attributes["liftwright.outcome"] == "complete"
    assert [one.attributes["liftwright.stage"] for one in stages.values()] == [*campaign.STAGES]
    assert {one.parent_id for one in stages.values()} == {run.span_id}
    placed = {
        (call.attributes["liftwright.service"], stages[call.parent_id].name)
        for call in calls
        if call.attributes["liftwright.service"] != "track"
    }
    assert placed >= {("complete", "stage generate"), ("screen", "stage screen")}


def assert_sums_of_the_record(receiver: Receiver, totals: dict[str, Any]) -> None:
    """Calls, tokens and cost are those of run.json, in the spans as in the metrics."""
    calls = of_calls(receiver.spans)
    counted = Counter(span.attributes["liftwright.service"] for span in calls)
    assert counted.pop("track") == 1
    assert counted == {name: one["calls"] for name, one in totals["services"].items()}
    chats = [span for span in calls if span.name == CHAT]
    tokens = totals["tokens"]
    assert {
        "input": sum(span.number("gen_ai.usage.input_tokens") for span in chats),
        "cached_input": sum(span.number("gen_ai.usage.cache_read.input_tokens") for span in chats),
        "output": sum(span.number("gen_ai.usage.output_tokens") for span in chats),
    } == tokens
    cost = sum(span.number("liftwright.cost_usd") for span in calls)
    assert cost == pytest.approx(totals["cost_usd"], abs=1e-6)

    sums: defaultdict[str, float] = defaultdict(float)
    for one in receiver.sums:
        sums[one.name] += one.value
    assert sums["liftwright.calls"] == len(calls)
    assert sums["liftwright.runs"] == 1
    assert sums["liftwright.cost"] == pytest.approx(totals["cost_usd"], abs=1e-6)
    assert sums["gen_ai.client.token.usage"] == tokens["input"] + tokens["output"]
    assert sums["liftwright.call.errors"] == 0
    assert sums["liftwright.call.duration"] > 0


def assert_no_text(sent: bytes, workspace: Path, folder: Path) -> None:
    """No secret, no message and no customer went out."""
    variants = json.loads((folder / "variants.json").read_text())
    customers = (workspace / "data/raw/customers.csv").read_text().splitlines()[1:]
    for text in (
        *(HEADER[1], "IngestionEndpoint"),
        *(one["subject"] for one in [variants["control"], *variants["variants"]]),
        *(one["body"][:40] for one in variants["variants"]),
        *(row.split(",")[0] for row in customers),
    ):
        assert text.encode() not in sent, text


def test_run_sends_one_tree_of_spans_whose_sums_are_those_of_its_record(
    workspace: Path,
    writer: MeteredWriter,
    sending: tuple[str, ...],
    receiver: Receiver,
    azure_server: AzureServer,
) -> None:
    writer.before_reply = lambda _, number: failure(503) if number == 1 else None
    outcome = campaign.run(workspace, *sending)
    assert outcome.exit_status == 0
    assert campaign.events(workspace, "telemetry_not_sent") == []
    assert_one_tree(receiver.spans, outcome.run.run_id)
    totals = json.loads((outcome.folder / "run.json").read_text())["totals"]
    assert_sums_of_the_record(receiver, totals)
    sent = b"\n".join(request.body for request in azure_server.requests)
    assert_no_text(sent, workspace, outcome.folder)

    ((name, span_id),) = receiver.moments
    (retried,) = (one for one in receiver.spans if one.span_id == span_id)
    assert (name, retried.name, retried.ok) == ("attempt_failed", CHAT, True)
    assert retried.attributes["liftwright.attempts"] == "2"

    receiver.spans.clear()
    campaign.run(workspace, *sending, run_id=outcome.run.run_id)
    again = [one for one in receiver.spans if one.name.startswith("stage ")]
    assert [one.attributes["liftwright.outcome"] for one in again] == ["kept"] * 10


def test_run_whose_collector_and_tracker_are_down_ends_well_and_warns_once(
    workspace: Path,
    tracker: MLflowService,
    azure_server: AzureServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("TRACKER_TOKEN", TOKEN)
    told = [one.replace("seconds: 60", "seconds: 1") for one in options("otlp", url, monkeypatch)]
    told.append("adapters.track=mlflow")
    told.append(f"mlflow={{tracking_uri: '{azure_server.url}', token_secret: TRACKER_TOKEN}}")
    azure_server.script("/api", [Fault(kind="status", status=503)])
    outcome = campaign.run(workspace, *told)
    assert outcome.exit_status == 0
    (warning,) = campaign.events(workspace, "telemetry_not_sent")
    assert warning["destination"] == "otlp"
    (warning,) = campaign.events(workspace, "run_not_tracked")
    assert warning["tracker"] == "mlflow"
    assert TOKEN not in (workspace / "logs" / "system.log").read_text()
    assert tracker.runs == {}

    # Asked for again, the finished run is kept, and the tracker is told at last.
    assert campaign.run(workspace, *told, run_id=outcome.run.run_id).exit_status == 0
    (tracked,) = tracker.runs.values()
    assert (tracked.name, tracked.status) == (outcome.run.run_id, "FINISHED")
    assert tracked.params["adapters.complete"] == "openai_compatible"
    measured = json.loads((outcome.folder / "metrics.json").read_text())
    assert {name for name in tracked.metrics if name.endswith("/n")} == {
        f"simulated/{arm['arm']}/n" for arm in measured["arms"]
    } | {"simulated/n"}
    assert tracked.files["report/experiment_report.pdf"].startswith(b"%PDF-")
    assert capfd.readouterr().err == ""
