from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# How long an example takes says something of the machine, not of the code.
settings.register_profile("liftwright", deadline=None)
settings.load_profile("liftwright")


def pytest_sessionfinish() -> None:
    """Collect what the vendors' clients leave: they close connections then, in no set order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


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
