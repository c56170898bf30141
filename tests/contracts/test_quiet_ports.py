"""The contracts of `telemetry` and `track`: ports that a run may not notice."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from contracts.promises import in_threads
from liftwright.adapters.silent import JsonTrack, NoTelemetry
from liftwright.ports import Span

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.ports import SpanField, Telemetry, Track

TELEMETRY = {"off": NoTelemetry}
TRACKERS = {"json": JsonTrack}


@pytest.fixture(params=TELEMETRY.values(), ids=TELEMETRY)
def telemetry(request: pytest.FixtureRequest) -> Telemetry:
    made: Telemetry = request.param()
    return made


@pytest.fixture(params=TRACKERS.values(), ids=TRACKERS)
def track(request: pytest.FixtureRequest) -> Track:
    made: Track = request.param()
    return made


def finished(**fields: SpanField) -> Span:
    return Span(
        name="call",
        trace_id=7,
        span_id=1,
        parent_id=None,
        started_ns=1_700_000_000_000_000_000,
        ended_ns=1_700_000_000_500_000_000,
        fields=fields,
    )


@pytest.mark.parametrize("fields", [{}, {"stage": "segment", "seconds": 0.5, "many": True, "n": 1}])
def test_telemetry_takes_a_span_and_never_fails(
    telemetry: Telemetry, fields: dict[str, SpanField]
) -> None:
    telemetry(finished(**fields))
    telemetry.close()
    telemetry.close()


def test_telemetry_takes_spans_from_threads(telemetry: Telemetry) -> None:
    spans = [finished(number=number) for number in range(40)]
    assert in_threads(telemetry, spans) == [None] * 40
    telemetry.close()


def test_track_takes_a_finished_run_and_leaves_its_folder_alone(
    track: Track, tmp_path: Path
) -> None:
    run: dict[str, object] = {"run_id": "r1", "status": "complete", "totals": {"calls": 3}}
    folder = tmp_path / "r1"
    folder.mkdir()
    (folder / "run.json").write_text('{"run_id": "r1"}', encoding="utf-8")
    (folder / "metrics.json").write_text('{"n": 4}', encoding="utf-8")

    def digests() -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
        }

    before, given = digests(), dict(run)
    for _ in range(2):  # a run that is measured again is told again
        track(run, folder)
    assert digests() == before
    assert run == given
