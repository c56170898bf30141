"""A service that dies in the middle of a run: the run stops, and goes on without paying twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

import campaign
from azure_campaign import ADAPTERS, KEYS, drafts_on, point, services
from azure_server.faults import Fault
from azure_server.server import AzureServer
from azure_server.tls import certificates
from liftwright.adapters.embedded.sqlite import SqliteStore
from liftwright.campaign import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from azure_server.server import Recorded


PAID = {
    "complete": "/openai/",
    "search": "*/docs/search.post.search",
    "screen": "/contentsafety/",
}


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, object]]]:
    """A workspace, and the drafts for its prompts."""
    with pytest.MonkeyPatch.context() as environ:
        for name, value in {**certificates().environment, **KEYS}.items():
            environ.setenv(name, value)
        root = campaign.lay_down(tmp_path_factory.mktemp("site") / "root", screen="embedded")
        yield root, drafts_on(root)  # type: ignore[misc] # drafts are read as they come


class Dying:
    """A script of faults: well for some requests, then dead until it is mended."""

    def __init__(self, well: int, fault: Fault) -> None:
        self.is_dead = True
        self.met = 0
        self._well, self._fault = well, fault

    def __iter__(self) -> Iterator[Fault | None]:
        for _ in range(self._well):
            yield None
        while self.is_dead:
            self.met += 1
            yield self._fault


@pytest.mark.parametrize(
    ("route", "well", "fault", "told"),
    [
        # One call fills an index, and so few search that no three in a row can fail.
        ("*/docs/search.index", 0, Fault(kind="reset"), "Azure AI Search"),
        ("*/docs/search.post.search", 1, Fault(kind="status", status=503), "Azure AI Search"),
        ("/openai/", 5, Fault(kind="status", status=429), "complete: 3 calls in a row"),
        ("/contentsafety/", 40, Fault(kind="html", status=502), "screen: 3 calls in a row"),
    ],
    ids=["index", "search", "complete", "screen"],
)
def test_run_whose_service_dies_on_the_way_stops_and_resumes_without_paying_twice(  # noqa: PLR0913, PLR0917 - the case's parts
    laid: tuple[Path, dict[str, tuple[str, str]]],
    tmp_path: Path,
    route: str,
    well: int,
    fault: Fault,
    told: str,
) -> None:
    root, drafts = laid
    dying = Dying(well, fault)
    with AzureServer(services(drafts)).running() as server:
        server.script(route, dying)
        workspace = campaign.copy(root, tmp_path / "workspace")
        point(workspace, server, *ADAPTERS)

        stopped = campaign.run(workspace)

        assert (stopped.exit_status, stopped.run.status) == (3, "unfinished")
        assert told in str(stopped.reason)
        # Three failed calls of two attempts and two probes; meanwhile four workers and the two that
        # prefetch may each have made two attempts.
        assert 2 <= dying.met <= 3 * 2 + 2 + 6 * 2
        assert not (stopped.folder / "assignments.parquet").exists()

        dying.is_dead = False
        if "screen" in told:
            resumed = campaign.run(workspace)
            assert (resumed.exit_status, resumed.run.status) == (0, "complete"), resumed.reason
            folder = resumed.folder
        else:
            # The rest is the same for all.
            folder = campaign.stop_before(workspace, "assign")
        assert folder == stopped.folder
        answered = {
            port: sum(is_for(paid, one) for one in server.requests)
            - (dying.met if paid == route else 0)
            for port, paid in PAID.items()
        }
        assert server.invalid == []
    store = SqliteStore(workspace / "data" / "ledger.sqlite")
    rows = list(store.rows())
    store.close()
    # Each reply that left a service is remembered once, under a request of its own.
    done = Counter(str(row["port"]) for row in rows if row["status"] == "done")
    assert {port: done[port] for port in PAID} == answered
    assert {row["status"] for row in rows} <= {"done", "failed", "part"}
    assert all(answered.values())
    assert Workspace(workspace).verify().ok
    # A message that could not be screened was blocked, and is screened again.
    decided = campaign.audit_lines(workspace)
    assert all(line["block_reason"].startswith("unavailable") for line in decided if is_block(line))


def is_for(route: str, request: Recorded) -> bool:
    """Whether the request is a paid one of the route; an index is also read back as it is made."""
    if route.startswith("*"):
        return request.path.endswith(route[1:]) and "queryType" in request.json
    return request.path.startswith(route)


def is_block(line: dict[str, str]) -> bool:
    return line["status"] == "block"
