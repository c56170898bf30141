from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

FILE = Path(__file__).parents[2] / "tools" / "contract_matrix.py"
HEAD = "[project.optional-dependencies]\nazure = "


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract_matrix", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_lower_bounds_gives_the_oldest_version_of_each_package(matrix: ModuleType) -> None:
    found = matrix.lower_bounds(HEAD + '["openai>=1.106,<4", "azure-identity>=1.27"]')
    assert found == {"openai": "1.106", "azure-identity": "1.27"}


@pytest.mark.parametrize("requirement", ["openai<4", "openai==3.1", "openai[x]>=1,<2"])
def test_lower_bounds_without_one_names_the_requirement(
    matrix: ModuleType, requirement: str
) -> None:
    with pytest.raises(ValueError, match="lower bound"):
        matrix.lower_bounds(f"{HEAD}[{requirement!r}]")


def test_tests_of_the_matrix_are_there(matrix: ModuleType, sample_workspace_root: Path) -> None:
    assert [t for t in matrix.TESTS if not (sample_workspace_root / t).exists()] == []


def test_main_with_an_unknown_name_says_what_is_allowed(
    matrix: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert matrix.main(["latest"]) == 2
    assert "oldest, newest" in capsys.readouterr().err
