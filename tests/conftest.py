from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from azure_server.fixtures import azure_server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["azure_server"]  # a fixture for every test; a module overrides `azure_handlers`
ROOT = Path(__file__).parents[1]
_LONGEST = 200  # characters of a name or a reason that are shown

# How long an example takes says something of the machine, not of the code.
settings.register_profile(
    "liftwright", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("liftwright")


def pytest_configure() -> None:
    """Look for no garbage while thousands of tests are collected: there is next to none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was collected out of every later search for garbage."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """Collect what the vendors' clients leave: they close connections then, in no set order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Name the tests that failed, a line each, after all else: a log may be kept by its end."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    for kind in ("failed", "error"):
        for report in reporter.stats.get(kind, ()):
            name = report.nodeid[:_LONGEST]
            reporter.write_line(f"{kind.upper()} {name}: {_why(report)[:_LONGEST]}")


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The first line of what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash else str(report.longrepr)
    return said.strip().partition("\n")[0]


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Measure no coverage in processes that begin here: it makes them a third slower."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("public data sets are not beside this checkout (see docs/data.md)")
    return folder


@pytest.fixture(scope="session")
def sample_workspace_root() -> Path:
    """The repository root, which is itself a workspace with the sample brand."""
    return ROOT
