"""What is written about the product is true of it: configuration, commands, links, requirements."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
import typer.main
from pydantic import BaseModel

from liftwright.cli import app
from liftwright.config.experiment import Experiment
from liftwright.config.loader import Channels
from liftwright.config.models import (
    ContentFile,
    Customers,
    EngagementFormat,
    Frames,
    Safety,
    Segments,
)
from liftwright.model import METRICS
from liftwright.wiring import services_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
YAML = sorted((ROOT / "config").rglob("*.yaml"))
SHAPES: dict[str, type[BaseModel]] = {
    "azure_config.yaml": services_model(),
    "experiment_config.yaml": Experiment,
    "customers.yaml": Customers,
    "engagement.yaml": EngagementFormat,
    "safety_thresholds.yaml": Safety,
    "segments.yaml": Segments,
    "channels.yaml": Channels,
    "content.yaml": ContentFile,
    **{f"frames/{tone}.yaml": Frames for tone in ("urgent", "informational", "friendly")},
}
COMMON_OPTIONS = {"--workspace", "--json", "--help"}
# Of the account that is logged in, not of the product: nothing to set.
FOREIGN_VARIABLES = {"JAVA_HOME", "USER"}


@cache
def tracked() -> tuple[Path, ...]:
    """The text files that are handed on: what git tracks or would track."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: what is tracked cannot be told")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    paths = (ROOT / name for name in listed.stdout.splitlines())
    return tuple(path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192])


def markdown() -> tuple[Path, ...]:
    return tuple(path for path in tracked() if path.suffix == ".md")


# ── Configuration ─────────────────────────────────────────────────────────────────────────────

KEY_LINE = re.compile(r"^(?P<indent> *)(?P<item>- )?(?P<key>[A-Za-z_][\w.-]*):(?P<rest>.*)$")


def key_lines(text: str) -> Iterator[tuple[str, str, bool]]:
    """Each key of a YAML text as a path, its value as written, and whether a comment is with it."""
    stack: list[tuple[int, str]] = []
    block_indent: int | None = None
    for before, line in pairwise(["", *text.splitlines()]):
        indent = len(line) - len(line.lstrip())
        if block_indent is not None and (not line.strip() or indent > block_indent):
            continue
        found = KEY_LINE.match(line)
        if found is None:
            continue
        depth = len(found["indent"]) + (2 if found["item"] else 0)
        while stack and stack[-1][0] >= depth:
            stack.pop()
        stack.append((depth, found["key"]))
        value = found["rest"].strip()
        block_indent = depth if value in ("|", ">") else None
        commented = before.strip().startswith("#") or "#" in value
        yield ".".join(name for _, name in stack), value, commented


def undocumented(text: str) -> list[str]:
    """The keys that nothing is said about: no comment above, beside, or on the like one before.

    A key is also said by its name in backticks in a comment of the file, and excused where it
    stands for what is below it.
    """
    keys = list(key_lines(text))
    comments = "".join(line for line in text.splitlines() if line.lstrip().startswith("#"))
    said = {path for path, _, commented in keys if commented}
    said |= {path for path, _, _ in keys if f"`{path.rpartition('.')[2]}`" in comments}

    def excused(path: str, value: str) -> bool:
        """Whether it stands for what is below it, in lines of its own or in braces."""
        if value.startswith("{"):
            return any(path.startswith(f"{above}.") for above in said)
        return not value and any(name.startswith(f"{path}.") for name, _, _ in keys)

    return [path for path, value, _ in keys if path not in said and not excused(path, value)]


@pytest.mark.parametrize("file", YAML, ids=lambda path: path.name)
def test_configuration_says_of_each_key_what_it_means(file: Path) -> None:
    assert undocumented(file.read_text(encoding="utf-8")) == []


def keys_of(shape: object, seen: frozenset[object] = frozenset()) -> Iterator[str]:
    """The keys of a shape and of the shapes inside it, as a user writes them."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        if shape in seen:
            return
        for name, field in shape.model_fields.items():
            if name != "root":
                yield field.alias or name
            yield from keys_of(field.annotation, seen | {shape})
    for inner in get_args(shape):
        yield from keys_of(inner, seen)


@pytest.mark.parametrize("name", SHAPES)
def test_configuration_ships_every_key_that_can_be_set(name: str) -> None:
    text = (ROOT / "config" / name).read_text(encoding="utf-8")
    written = re.compile(r"(?:^|[\s{,#-])([A-Za-z_0-9]+)(?::|  )", re.MULTILINE)
    shipped = set(written.findall(text))
    assert set(keys_of(SHAPES[name])) - shipped == set()


def variables_in(tree: ast.AST) -> Iterator[str]:
    """Names of environment variables that a module reads."""
    for node in ast.walk(tree):
        where, name = None, None
        match node:
            case ast.Call(func=ast.Attribute(value=where, attr="get" | "getenv"), args=[name, *_]):
                pass
            case ast.Subscript(value=where, slice=name):
                pass
        if where is not None and re.search(r"\benviron|\bos\b|variables", ast.unparse(where)):
            value = getattr(name, "value", None)
            if isinstance(value, str) and value.isupper():
                yield value
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^LIFTWRIGHT_[A-Z_]+$", node.value)


def test_env_example_lists_every_variable_that_is_read_and_no_dead_one() -> None:
    listed = set(
        re.findall(
            r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    read = {
        name
        for path in SOURCES
        for name in variables_in(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert {name for name in listed if name.startswith("LIFTWRIGHT_")} <= read
    assert "LIFTWRIGHT_AUDIT_KEY" in read, "the search itself is broken"
    assert read - FOREIGN_VARIABLES <= listed


# ── Commands ──────────────────────────────────────────────────────────────────────────────────


def commands() -> dict[str, click.Command]:
    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]


def sections() -> dict[str, str]:
    """The part of docs/commands.md on each command."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    parts = re.split(r"^### `liftwright (\w+)", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def options(command: click.Command) -> set[str]:
    named = {name for parameter in command.params for name in parameter.opts}
    return {name for name in named if name.startswith("--")}


def test_commands_page_has_every_command_and_no_other() -> None:
    assert set(sections()) == set(commands())


@pytest.mark.parametrize("name", commands())
def test_commands_page_has_every_option_and_an_example(name: str) -> None:
    section, known = sections()[name], options(commands()[name])
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section))
    assert known - COMMON_OPTIONS - mentioned == set(), "not in docs/commands.md"
    assert mentioned - known - COMMON_OPTIONS - {"--run-id"} == set(), "no such option"
    assert re.search(rf"```console\n(?:.*\n)*?\$ liftwright {name}\b", section)


def test_commands_page_explains_the_common_options_and_each_exit_status() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    introduction = text.partition("### ")[0]
    assert {"--workspace", "--json", "--version"} <= set(re.findall(r"--[a-z]+", introduction))
    assert re.findall(r"^\| (\d) \|", introduction, re.MULTILINE) == ["0", "1", "2", "3", "4", "5"]


def test_documents_name_only_commands_that_exist() -> None:
    known = set(commands()) | {"--help", "--version", "COMMAND"}
    for path in markdown():
        text = path.read_text(encoding="utf-8")
        used = re.findall(
            r"(?:^\$ |`|^\.venv/bin/)liftwright (--\w+|[A-Za-z]+)", text, re.MULTILINE
        )
        assert set(used) <= known, path.name


def test_data_science_page_lists_every_metric_as_declared() -> None:
    text = (ROOT / "docs" / "data-science.md").read_text(encoding="utf-8")
    rows = [
        f"| `{m.name}` | {m.kind} | `{m.column}` | {m.unit} | {m.direction} | {m.role} |"
        for m in METRICS
    ]
    assert re.findall(r"^\| `\w+_?\w*` \| (?:binary|mean|ratio) .*$", text, re.MULTILINE) == rows


# ── Links, requirements, the change log ───────────────────────────────────────────────────────


def test_relative_links_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in markdown()
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


@cache
def functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_requirements_page_names_only_tests_that_exist() -> None:
    text = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / "tests" / file).is_file()
        or (name and name not in functions(ROOT / "tests" / file))
    ]
    assert missing == []
    assert len(named) > 100, "the table is not read as it is written"


def test_requirements_page_has_evidence_in_each_row() -> None:
    text = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    bare = [row for row in rows if row.rstrip(" |").rpartition("|")[2].strip() == ""]
    assert bare == []
    names = re.findall(r"^\| ([A-Z]+-?\d[\w.]*) \|", text, re.MULTILINE)
    assert len(names) == len(set(names)), "a row stands there twice"


def test_changelog_has_a_place_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[?Unreleased\]?", text, re.MULTILINE)


# ── What is handed on ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-extras.lock", "requirements-installer.lock"]
)
def test_lock_pins_with_hashes_and_names_no_registry(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"https?://\S+|--(?:extra-)?index-url|--find-links|git\+", text) == []
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(entries) > 1
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+", entry), entry[:60]
        assert "--hash=sha256:" in entry, entry[:60]


def test_source_holds_no_print_and_no_mark_of_unfinished_work() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert not names & {"print", "breakpoint"}, path
        assert not re.search(r"#\s*(TODO|FIXME|XXX|HACK)\b", text), path


def test_tracked_text_names_no_path_of_a_machine() -> None:
    # A path of a home, a mount or a drive; parted here, so that this file does not name one.
    pattern = re.compile(
        r"(?<![\w.~:/-])/(?:home|Users|root|mnt|media|work|workspace)/\w|[A-Z]:\\\\?Users"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
