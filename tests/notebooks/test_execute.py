from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import nbformat
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# One worker executes the notebooks once, and all tests look at what it made.
pytestmark = pytest.mark.xdist_group("notebooks")
NAMES = (
    "01_data_exploration",
    "02_segmentation",
    "03_retrieval_quality",
    "04_variant_review",
    "05_experiment_report",
    "06_explainability",
)


@pytest.fixture(scope="module")
def execute(sample_workspace_root: Path) -> Callable[[Path], int]:
    path = sample_workspace_root / "notebooks/execute.py"
    specification = importlib.util.spec_from_file_location("notebooks_execute", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.main


def test_main_good_notebook_is_written_and_others_are_left(
    tmp_path: Path, execute: Callable[[Path], int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "01_good.py").write_text("# %%\n6 * 7\n", encoding="utf-8")
    (tmp_path / "other.py").write_text("1 / 0\n", encoding="utf-8")
    assert execute(tmp_path) == 0
    notebook = nbformat.read(tmp_path / "01_good.ipynb", as_version=4)
    assert notebook.cells[0].outputs[0].data["text/plain"] == "42"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "01_good.ipynb",
        "01_good.py",
        "other.py",
    ]
    assert "all notebooks ran" in capsys.readouterr().out


def test_main_failing_notebook_is_told_not_written_and_does_not_stop_the_rest(
    tmp_path: Path, execute: Callable[[Path], int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "01_bad.py").write_text("# %%\n1 / 0\n", encoding="utf-8")
    (tmp_path / "02_good.py").write_text("# %%\n6 * 7\n", encoding="utf-8")
    assert execute(tmp_path) == 1
    assert not (tmp_path / "01_bad.ipynb").exists()
    assert (tmp_path / "02_good.ipynb").exists()
    assert "01_bad.py: FAILED" in capsys.readouterr().err


@pytest.fixture(scope="module")
def executed(
    tmp_path_factory: pytest.TempPathFactory,
    sample_workspace_root: Path,
    execute: Callable[[Path], int],
    untraced: None,  # noqa: ARG001 - what the notebooks call is traced in the tests of the API
) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    for name in ("config", "notebooks", "data/raw", "data/content"):
        shutil.copytree(
            sample_workspace_root / name, root / name, ignore=shutil.ignore_patterns("*.ipynb")
        )
    assert execute(root / "notebooks") == 0
    return root / "notebooks"


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_on_the_sample_brand_show_tables_or_pictures_and_no_error(
    executed: Path, name: str
) -> None:
    notebook = nbformat.read(executed / f"{name}.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output.get("data", {}) for output in outputs]
    assert not [output for output in outputs if output.output_type in ("error", "stream")]
    assert any("| ---: |" in data.get("text/markdown", "") for data in shown)
    assert any("image/png" in data for data in shown)


def test_retrieval_quality_at_least_four_in_five_passages_are_relevant(executed: Path) -> None:
    notebook = nbformat.read(executed / "03_retrieval_quality.ipynb", as_version=4)
    text = "".join(
        output.data.get("text/markdown", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    assert "the target of 80% is met" in text
