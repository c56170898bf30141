from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

import acceptance_samples
import campaign
import metered_writer
import stand_in
from liftwright.campaign import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from metered_writer import MeteredWriter


@pytest.fixture(scope="module", autouse=True)
def _untraced(untraced: None) -> None:
    """Each report begins a process; what it does is traced in the tests of its own folder."""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in.register(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def _installed(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(packages)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Path:
    """A workspace with one finished run; to be copied, not changed."""
    root = campaign.lay_down(tmp_path_factory.mktemp("finished") / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        assert campaign.run(root, run_id="campaign").exit_status == 0
    return root


@pytest.fixture
def workspace(finished: Path, tmp_path: Path, _installed: None) -> Path:
    """A workspace of the test's own, without any run."""
    return campaign.copy(finished, tmp_path / "workspace")


@pytest.fixture
def writer(finished: Path, workspace: Path) -> Iterator[MeteredWriter]:
    """A paid writer that serves the test's workspace."""
    drafts = metered_writer.drafts_of(finished / "data" / "runs" / "campaign")
    with metered_writer.MeteredWriter(drafts).running() as running:
        running.serve(workspace)
        yield running


# ── Small workspaces of the sample brand (acceptance_samples) ─────────────────────────────────


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small workspace that no test changes, its content indexed."""
    root = acceptance_samples.lay_down(tmp_path_factory.mktemp("template") / "workspace")
    Workspace(root).index()
    shutil.rmtree(root / "logs")
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A small workspace of the test's own, without any run."""
    return shutil.copytree(template, tmp_path / "workspace")


@pytest.fixture(scope="session")
def complete(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small workspace with one finished run, `first`; to be read or copied, not changed."""
    root = shutil.copytree(template, tmp_path_factory.mktemp("complete") / "workspace")
    assert acceptance_samples.liftwright(root, "run", "--run-id", "first").status == 0
    return root


@pytest.fixture
def done(complete: Path, tmp_path: Path) -> Path:
    """A small workspace of the test's own, with the finished run `first`."""
    return shutil.copytree(complete, tmp_path / "done")
