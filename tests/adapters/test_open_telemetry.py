"""The two exporters, with their real packages, against a server that decodes their data."""

from __future__ import annotations

import io
import json
import os
import random
import threading
from typing import TYPE_CHECKING

import pytest
from azure.core.credentials import AccessToken
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_tracer_provider,
    use_span,
)

from azure_server.faults import Fault
from azure_server.monitor import HEADER, KEY, CollectorService, MonitorService
from azure_server.server import AzureServer
from azure_server.tls import certificates
from liftwright.adapters.telemetry import AzureMonitor, Otlp
from liftwright.adapters.telemetry.exporters import azure_monitor_telemetry, otlp_telemetry
from liftwright.adapters.telemetry.opentelemetry import Exporters, OpenTelemetry
from liftwright.errors import ConfigurationError, ProviderRefused, ProviderUnavailable
from liftwright.log import Log, logging_to
from liftwright.ports import Span
from liftwright.tracing import span, tracing
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from azure_server.monitor import Receiver
    from azure_server.server import Handler
    from liftwright.ports import SpanField

TOKEN = "canary-token-40d4"  # noqa: S105 - of the tests' own server
SERVICES = {"azure_monitor": MonitorService, "otlp": CollectorService}
ROUTES = {"azure_monitor": "/v2.1/track", "otlp": "/v1/"}
CALL: dict[str, SpanField] = {
    "service": "complete",
    "provider": "azure_openai",
    "model": "gpt-5-mini",
    "metered": True,
    "outcome": "ok",
    "attempts": 2,
    "tokens_input": 400,
    "tokens_cached_input": 300,
    "tokens_output": 50,
    "cost_usd": 0.25,
}


@pytest.fixture(params=SERVICES)
def exporter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def receiver(exporter: str) -> Receiver:
    return SERVICES[exporter]()


@pytest.fixture
def azure_handlers(receiver: Receiver) -> list[Handler]:
    return [receiver]  # type: ignore[list-item] # each of the two is one


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that the adapters set."""
    for name in [name for name in os.environ if name.startswith("APPLICATIONINSIGHTS_")]:
        monkeypatch.delenv(name)


def opened(exporter: str, url: str, *, flush_seconds: float = 60) -> OpenTelemetry:
    if exporter == "otlp":
        headers = json.dumps({HEADER[0]: HEADER[1]})
        return otlp_telemetry(Otlp(endpoint=url, flush_seconds=flush_seconds), headers)
    return azure_monitor_telemetry(
        AzureMonitor(flush_seconds=flush_seconds),
        f"InstrumentationKey={KEY};IngestionEndpoint={url}/",
    )


def send(telemetry: OpenTelemetry) -> None:
    run, stage = span("run", run_id="r-1"), span("stage", stage="generate")
    with tracing(telemetry), run, stage, span("call", **CALL) as one:
        one.add_event("attempt_failed", attempt=1, error="ProviderUnavailable")


def warnings_of(folder: Path) -> list[dict[str, object]]:
    file = folder / "system.log"
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {line["action"] for line in lines} == {"telemetry_not_sent"}
    assert {line["level"] for line in lines} == {"warning"}
    return [line["context"] for line in lines]


def test_spans_arrive_with_names_parents_and_the_conventions_attributes(
    exporter: str, receiver: Receiver, azure_server: AzureServer, tmp_path: Path
) -> None:
    with logging_to(Log(tmp_path)):
        send(opened(exporter, azure_server.url))
    found = {one.name: one for one in receiver.spans}
    assert sorted(found) == ["chat gpt-5-mini", "run", "stage generate"]
    run, stage, call = found["run"], found["stage generate"], found["chat gpt-5-mini"]
    assert (stage.parent_id, call.parent_id) == (run.span_id, stage.span_id)
    assert all(one.ok and one.seconds >= 0 for one in receiver.spans)
    assert run.attributes["liftwright.run_id"] == "r-1"
    assert dict(call.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.usage.input_tokens": "400",
        "gen_ai.usage.cache_read.input_tokens": "300",
        "gen_ai.usage.output_tokens": "50",
        "liftwright.service": "complete",
        "liftwright.provider": "azure_openai",
        "liftwright.metered": "True",
        "liftwright.outcome": "ok",
        "liftwright.attempts": "2",
        "liftwright.cost_usd": "0.25",
    }
    assert receiver.moments == [("attempt_failed", call.span_id)]
    assert warnings_of(tmp_path) == []


def test_metrics_arrive_once_with_calls_errors_tokens_and_cost(
    exporter: str, receiver: Receiver, azure_server: AzureServer
) -> None:
    with tracing(opened(exporter, azure_server.url)), span("run", outcome="complete"):
        for _ in range(3):
            with span("call", **CALL):
                pass
        with span("call", service="complete", metered=True, provider="x", outcome="replayed"):
            pass
        refused = span("call", service="screen", provider="y", outcome="refused")
        with pytest.raises(ProviderRefused), refused:
            raise ProviderRefused("no")
    sums: dict[str, float] = {}
    for one in receiver.sums:
        sums[one.name] = sums.get(one.name, 0) + one.value
    durations = {name: value for name, value in sums.items() if name.endswith(".duration")}
    assert sums.keys() - durations.keys() == {
        *("liftwright.runs", "liftwright.calls", "liftwright.call.errors", "liftwright.cost"),
        "gen_ai.client.token.usage",
    }
    assert (sums["liftwright.calls"], sums["liftwright.call.errors"]) == (5, 1)
    assert sums["liftwright.cost"] == pytest.approx(0.75)
    assert sums["gen_ai.client.token.usage"] == 3 * 450
    assert durations.keys() == {"liftwright.call.duration", "gen_ai.client.operation.duration"}
    (error,) = (one for one in receiver.sums if one.name == "liftwright.call.errors")
    assert error.attributes["error.type"] == "ProviderRefused"
    kinds = {
        one.attributes["gen_ai.token.type"]: one.value
        for one in receiver.sums
        if one.name == "gen_ai.client.token.usage"
    }
    assert kinds == {"input": 1200, "output": 150}


def test_more_spans_than_one_batch_arrive_all_and_once(
    exporter: str, receiver: Receiver, azure_server: AzureServer
) -> None:
    with tracing(opened(exporter, azure_server.url)), span("run"):
        for _ in range(600):
            with span("call", **CALL):
                pass
        # The first batch is sent during the run, so a killed run has sent it.
        wait_until(lambda: len(receiver.spans) >= 512)
    assert len({one.span_id for one in receiver.spans}) == len(receiver.spans) == 601


def test_run_within_a_users_own_span_and_seed_touches_neither(
    exporter: str,
    receiver: Receiver,
    azure_server: AzureServer,
) -> None:
    provider = get_tracer_provider()
    users = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    for _ in range(2):
        random.seed(5)
        with use_span(NonRecordingSpan(users)):
            send(opened(exporter, azure_server.url))
    traces = {one.trace_id for one in receiver.spans}
    assert len(traces) == 2
    assert f"{users.trace_id:032x}" not in traces
    assert get_tracer_provider() is provider


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=400),
        Fault(kind="slow", seconds=30),
        Fault(kind="reset"),
    ],
    ids=["400", "slow", "reset"],
)
def test_receiver_that_fails_is_told_once_and_holds_nothing_up(
    exporter: str,
    azure_server: AzureServer,
    fault: Fault,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    azure_server.script(ROUTES[exporter], [fault] * 100)
    with logging_to(Log(tmp_path)):
        # Waiting for the slow receiver would take 30 seconds.
        send(opened(exporter, azure_server.url, flush_seconds=0.5))
    (warning,) = warnings_of(tmp_path)
    assert (warning["destination"], warning["spans"]) == (exporter, 3)
    assert KEY not in str(warning)
    assert capfd.readouterr() == ("", "")


def test_exporters_that_cannot_be_made_stop_nothing_and_are_told_by_type_alone(
    tmp_path: Path,
) -> None:
    def broken() -> Exporters:
        raise RuntimeError("canary-words of a package")

    telemetry = OpenTelemetry("somewhere", broken, flush_seconds=60)
    with logging_to(Log(tmp_path)):
        send(telemetry)
    (line,) = (tmp_path / "system.log").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert (told["action"], told["context"]["error"]) == ("telemetry_failed", "RuntimeError")
    assert "canary" not in line
    with pytest.raises(ProviderUnavailable, match=r"^somewhere .*RuntimeError$"):
        telemetry.check()


def test_receiver_that_hangs_loses_what_is_too_much_and_never_blocks(tmp_path: Path) -> None:
    released, exported = threading.Event(), []

    class Hanging(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            exported.append(len(spans))
            released.wait(60)
            return SpanExportResult.FAILURE

    def hang() -> Exporters:
        return Hanging(), ConsoleMetricExporter(io.StringIO())

    telemetry = OpenTelemetry("somewhere", hang, flush_seconds=0.1)
    with logging_to(Log(tmp_path)):
        for _ in range(20_600):
            one = Span(name="call")
            telemetry.start(one)
            one.end()
            telemetry.end(one)
        telemetry.close()
    released.set()
    (warning,) = warnings_of(tmp_path)
    assert warning["spans"] == 20_600
    # Dropped spans are not sent again, and the thread ends.
    wait_until(lambda: "telemetry" not in {one.name for one in threading.enumerate()})
    assert len(exported) == 1


class Identity:
    """A credential with one token; records the requested scopes."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.scopes += scopes
        return AccessToken(TOKEN, 4_000_000_000)


@pytest.mark.parametrize("known", [True, False])
def test_azure_monitor_without_local_authentication_takes_an_identity_alone(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    known: bool,  # noqa: FBT001 - parametrised
) -> None:
    service, identity = MonitorService(TOKEN), Identity()
    for name, value in certificates().environment.items():
        monkeypatch.setenv(name, value)
    with AzureServer([service]).running() as server, logging_to(Log(tmp_path)):
        connection = f"InstrumentationKey={KEY};IngestionEndpoint={server.url}/"
        send(azure_monitor_telemetry(AzureMonitor(), connection, identity if known else None))
    assert server.invalid == []
    assert (len(service.spans), len(warnings_of(tmp_path))) == ((3, 0) if known else (0, 1))
    assert set(identity.scopes) == ({"https://monitor.azure.com//.default"} if known else set())


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("canary-8812", "InstrumentationKey=GUID"),
        ("InstrumentationKey=canary-8812;IngestionEndpoint=https://x", "InstrumentationKey=GUID"),
        (f"InstrumentationKey={KEY}", "IngestionEndpoint=https"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=http://canary-8812", "IngestionEndpoint="),
    ],
)
def test_azure_monitor_wrong_connection_string_is_named_and_not_shown(
    text: str, missing: str
) -> None:
    with pytest.raises(ConfigurationError, match=missing) as raised:
        azure_monitor_telemetry(AzureMonitor(), text)
    assert "canary" not in str(raised.value)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("text", ["canary-8812", '["canary-8812"]', '{"a": 8812}'])
def test_otlp_wrong_headers_are_named_and_not_shown(text: str) -> None:
    config = Otlp(endpoint="http://localhost:4318", headers_secret="COLLECTOR")  # noqa: S106 - a name
    with pytest.raises(ConfigurationError, match="COLLECTOR") as raised:
        otlp_telemetry(config, text)
    assert "8812" not in str(raised.value)


def test_check_sends_one_span_and_says_that_it_was_taken(
    exporter: str, receiver: Receiver, azure_server: AzureServer
) -> None:
    assert opened(exporter, azure_server.url).check() == f"{exporter} accepted a span"
    assert [(one.name, one.ok) for one in receiver.spans] == [("check", True)]
    assert receiver.sums == []


@pytest.mark.parametrize("status", [401])
def test_check_that_is_refused_says_so(
    exporter: str, azure_server: AzureServer, status: int
) -> None:
    azure_server.script(ROUTES[exporter], [Fault(kind="status", status=status)] * 9)
    with pytest.raises(ProviderUnavailable, match=f"^{exporter} "):
        opened(exporter, azure_server.url, flush_seconds=60).check()
