"""In-place edits of a YAML file change nothing but the value."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import ModuleType

TOOL = Path(__file__).parents[2] / "infra" / "azure_workspace.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("azure_workspace", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load()

keys = st.sampled_from(["adapters", "azure_search", "endpoint", "index", "url"])
words = st.sampled_from(
    ["", "plain", "null", "yes", "a: b", "https://x.y", "#", "ünï", "'", '"', " "]
)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | words
trees = st.dictionaries(keys, scalars | st.dictionaries(keys, scalars, min_size=1), min_size=1)


def with_comments(tree: dict[str, Any], indent: str = "") -> str:
    """A tree as YAML with a comment above each key and after each value."""
    lines = []
    for key, value in tree.items():
        lines.append(f"{indent}# of {key}")
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", with_comments(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(value)} # beside {key}")
    return "\n".join(lines)


def put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    key, rest = path[0], path[1:]
    inside = tree.get(key)
    new = put(inside if isinstance(inside, dict) else {}, rest, value) if rest else value
    return {**tree, key: new}


@given(tree=trees, path=st.lists(keys, min_size=1, max_size=2).map(tuple), value=scalars)
def test_edited_any_tree_holds_the_value_and_all_else_as_it_was(
    tree: dict[str, Any], path: tuple[str, ...], value: str | int | None
) -> None:
    text = with_comments(tree) + "\n# at the end\n"
    known = tree.get(path[0])
    if len(path) == 1:
        lost = isinstance(known, dict)
    else:
        lost = known is not None and not isinstance(known, dict)
    if lost:
        with pytest.raises(tool.WriteError):
            tool.edited(text, {path: value})
        return
    after = tool.edited(text, {path: value})
    assert yaml.safe_load(after) == put(tree, path, value)
    comments = re.compile(r"# (?:of|beside|at) [\w ]+$", re.MULTILINE)
    assert comments.findall(after) == comments.findall(text)
    assert tool.edited(after, {path: value}) == after, "setting it again changes nothing"


def test_edited_mapping_in_braces_says_how_to_write_it() -> None:
    with pytest.raises(tool.WriteError, match=r"a: .*b "):
        tool.edited("a: {c: 1}\n", {("a", "b"): 2})


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"a": {}}', '{"a": {"type": "String"}}'])
def test_read_outputs_that_are_none_is_refused(text: str) -> None:
    with pytest.raises(tool.WriteError, match="outputs"):
        tool.read_outputs(text)


def test_read_outputs_takes_those_of_both_tools_in_any_case() -> None:
    assert tool.read_outputs('{"azurE_X": {"type": "String", "value": "1"}}') == {"AZURE_X": "1"}
    assert tool.read_outputs('{"AZURE_X": "1"}') == {"AZURE_X": "1"}


def test_write_without_an_output_that_is_needed_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text("{}", "utf-8")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "azure_config.yaml").write_text("adapters: {}\n", "utf-8")
    status = tool.main(["write", "--workspace", str(tmp_path), "--outputs", str(outputs)])
    assert status == 2
    assert "'AZURE_OPENAI_MODEL'" in capsys.readouterr().err


def test_write_variables_replaces_its_own_lines_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nA=1\nB='old'\nC=3", "utf-8")
    assert tool.write_variables(tmp_path, {"B": "new", "D": "4"}) == ("B", "D")
    assert (tmp_path / ".env").read_text("utf-8") == "# mine\nA=1\nB='new'\nC=3\nD='4'\n"
    assert tool.write_variables(tmp_path, {"B": "new", "D": "4"}) == ()
