"""Any configuration file is read, or refused in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftwright.config.yaml import load, parse_value
from liftwright.errors import ConfigurationError
from liftwright.wiring import read_settings

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "config").rglob("*.yaml"))
BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
)

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        ["9" * 5000, "1e999", "${NOPE}", "{brand}", "../../x", "x" * 5000, "2026-02-30"]
    ),
    st.sampled_from([[], {}, [None], [[]], {"a": 1}, {"": ""}]),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(ROOT / "config", folder / "config")
    return folder


def read_with(root: Path, file: Path, text: str) -> None:
    """Read the settings with one file replaced; a refusal must be one short, printable line."""
    place = root / file.relative_to(ROOT)
    place.write_text(text, encoding="utf-8")
    try:
        read_settings(root)
    except ConfigurationError as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) < 1000
    finally:
        shutil.copyfile(file, place)


def places(data: object) -> list[tuple[object, object]]:
    """Every (container, key) of nested values."""
    keys: list[object] = []
    if isinstance(data, dict):
        keys = list(data)
    elif isinstance(data, list):
        keys = list(range(len(data)))
    found = [(data, key) for key in keys]
    return found + [place for key in keys for place in places(data[key])]  # type: ignore[index]


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_read_settings_a_value_changed_is_read_or_refused_in_one_line(
    root: Path, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(FILES))
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    container, key = data.draw(st.sampled_from(places(tree)))
    change = data.draw(st.sampled_from(["set", "delete", "add"]))
    if change == "delete":
        del container[key]  # type: ignore[attr-defined]
    elif change == "add" and isinstance(container, dict):
        container[data.draw(st.text(max_size=10))] = data.draw(junk)
    else:
        container[key] = data.draw(junk)  # type: ignore[index]
    read_with(root, file, yaml.safe_dump(tree, allow_unicode=True))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_read_settings_a_character_changed_is_read_or_refused_in_one_line(
    root: Path, data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(FILES))
    text = file.read_text(encoding="utf-8")
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(
        st.sampled_from(["\t", ":", "- ", '"', "'", "{", "[", "&a ", "*a", "!!x ", "\x00", "\x07"])
        | st.sampled_from(["%", "@", "#", "\n", "\n---\n", "<<: *x", "|", "> ", "? ", "\u2028"])
    )
    read_with(root, file, text[:at] + put + text[at:])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BOMB, id="aliases of aliases"),
        pytest.param("a: &a [*a]", id="a list in itself"),
        pytest.param("a: " + "[" * 1000, id="nested lists"),
        pytest.param("a: \x07", id="a control character"),
    ],
)
def test_load_yaml_made_to_harm_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^c\.yaml(:\d+)?: ") as caught:
        load(text, Path("c.yaml"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["9" * 5000, "-" + "9" * 5000])
def test_parse_value_a_number_of_thousands_of_digits_is_no_traceback(text: str) -> None:
    assert parse_value(text) in {float("inf"), float("-inf")}


def test_parse_value_nested_without_end_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="recursion"):
        parse_value("[" * 1000)
