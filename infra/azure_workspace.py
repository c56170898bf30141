"""Tells a workspace of what was deployed: azure_config.yaml and .env, edited and never rewritten.

Only the values that name a deployed service change, each in its place; comments, order and all that
a person has set stay. The file as it was is kept beside it, and a file that Liftwright could not
read afterwards is put back. Run by setup_azure_resources.sh and by azd (azure.yaml).
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from liftwright.errors import LiftwrightError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WRONG_INPUT = 2
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./:-]*[A-Za-z0-9/]")
NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
REASONING = ("gpt-5", "o1", "o3", "o4")
"""How the names of models begin that take no temperature."""

# What a variable in .env is that is a secret; with roles there is none.
KEYS = ("AZURE_OPENAI_API_KEY", "AZURE_SEARCH_API_KEY", "AZURE_CONTENT_SAFETY_API_KEY")

Value = str | bool | int | None


class WriteError(Exception):
    """The file cannot be edited; the message says where and why."""


def rendered(value: Value) -> str:
    """A value as YAML writes it, in quotes where a plain word would mean something else."""
    if isinstance(value, str) and (not PLAIN.fullmatch(value) or value.lower() in NOT_TEXT):
        return json.dumps(value)
    return value if isinstance(value, str) else json.dumps(value)


def edited(text: str, changes: Mapping[tuple[str, ...], Value]) -> str:
    """A YAML text with some values set, and everything else as it was.

    Args:
        text: a mapping of mappings, one key a line.
        changes: path of keys to value; what is missing of a path is added.

    Raises:
        WriteError: where a mapping stands in braces, or a value where a mapping should.
    """
    for path, value in changes.items():
        text = _with(text, path, value)
    return text


def _with(text: str, path: tuple[str, ...], value: Value) -> str:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for depth, key in enumerate(path):
        where = ".".join(path[:depth]) or "the file"
        if not isinstance(node, yaml.MappingNode) or node.flow_style:
            raise WriteError(f"{where}: write it one key a line, so that {key} can be set")
        found = next((item for name, item in node.value if name.value == key), None)
        rest = path[depth + 1 :]
        if found is None:
            return _inserted(text, node, _lines(path[depth:], value, indent="  " * depth))
        # By its tag: the word "null" in quotes is text that somebody wrote.
        if rest and found.tag == "tag:yaml.org,2002:null":
            block = _lines(rest, value, indent="  " * (depth + 1))
            return _spliced(text, found, "\n" + block)
        node = found
    if not isinstance(node, yaml.ScalarNode):
        raise WriteError(f"{'.'.join(path)}: found more than one value, allowed: one")
    return _spliced(text, node, rendered(value))


def _lines(path: tuple[str, ...], value: Value, indent: str) -> str:
    """The lines `a:`, `  b: value` of a path."""
    steps = [f"{indent}{'  ' * place}{key}:" for place, key in enumerate(path)]
    return "\n".join(steps) + f" {rendered(value)}"


def _spliced(text: str, node: yaml.Node, new: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    # An empty value begins right behind its colon; a block begins on a line of its own.
    before = text[:start].rstrip(" ") if new.startswith("\n") else text[:start]
    gap = " " if before.endswith(":") and not new.startswith("\n") else ""
    return f"{before}{gap}{new}{text[end:]}"


def _inserted(text: str, mapping: yaml.MappingNode, lines: str) -> str:
    """Lines after the last value of a mapping, before the comments that follow it."""
    last: yaml.Node = mapping
    while isinstance(last, yaml.MappingNode) and not last.flow_style and last.value:
        last = last.value[-1][1]
    end = text.find("\n", last.end_mark.index)
    if last.end_mark.column == 0 and last.end_mark.index:
        end = last.end_mark.index - 1
    if end < 0:
        return f"{text}\n{lines}\n"
    return f"{text[: end + 1]}{lines}\n{text[end + 1 :]}"


def changes_for(
    outputs: Mapping[str, str], known: Mapping[str, object], *, keys: bool
) -> dict[tuple[str, ...], Value]:
    """What azure_config.yaml must say for the deployed services to be used.

    A service whose address stands there already keeps its adapter and options, so that what a
    person has changed since the first set-up stays.

    Args:
        outputs: of main.bicep.
        known: the file as it is.
        keys: whether the services are asked with keys.
    """
    model = outputs["AZURE_OPENAI_MODEL"]
    ranked = outputs.get("AZURE_SEARCH_SEMANTIC_RANKER", "free") != "disabled"
    blocks: dict[str, tuple[tuple[str, ...], dict[str, Value]]] = {
        "azure_openai": (
            ("complete", "embed"),
            {
                "endpoint": _address(outputs["AZURE_OPENAI_ENDPOINT"]),
                "deployment": outputs["AZURE_OPENAI_DEPLOYMENT"],
                "model": model,
                "reasoning": model.startswith(REASONING),
                "embedding_deployment": outputs["AZURE_OPENAI_EMBEDDING_DEPLOYMENT"],
            },
        ),
        "azure_search": (
            ("search",),
            {
                "endpoint": _address(outputs["AZURE_SEARCH_ENDPOINT"]),
                "semantic_configuration": "default" if ranked else None,
            },
        ),
        "azure_content_safety": (
            ("screen",),
            {"endpoint": _address(outputs["AZURE_CONTENT_SAFETY_ENDPOINT"])},
        ),
    }
    changes: dict[tuple[str, ...], Value] = {}
    for block, (ports, values) in blocks.items():
        now = known.get(block)
        if isinstance(now, dict) and now.get("endpoint") == values["endpoint"]:
            continue
        changes |= {("adapters", port): block for port in ports}
        changes |= {(block, key): value for key, value in values.items()}
    url = _address(outputs["AZURE_KEY_VAULT_URL"])
    vault = known.get("key_vault")
    if not isinstance(vault, dict) or vault.get("url") != url:
        changes["key_vault", "url"] = url
    authentication = known.get("authentication")
    method = authentication.get("method") if isinstance(authentication, dict) else None
    if keys != (method == "api_key"):
        changes["authentication", "method"] = "api_key" if keys else "default"
    return changes


def _address(url: str) -> str:
    return url.rstrip("/")


def check_workspace(root: Path) -> None:
    """Whether Liftwright can read the workspace's configuration.

    Raises:
        LiftwrightError: naming what is wrong.
    """
    from liftwright.wiring import read_settings

    read_settings(root)


def write_config(root: Path, outputs: Mapping[str, str], *, keys: bool) -> tuple[str, ...]:
    """Edit config/azure_config.yaml; gives the keys that changed.

    Raises:
        WriteError: where the file cannot be edited.
        LiftwrightError: where Liftwright could not read it afterwards; it is put back as it was.
    """
    file = root / "config" / "azure_config.yaml"
    before = file.read_bytes()
    text = before.decode("utf-8")
    known = yaml.safe_load(text) or {}
    changes = changes_for(outputs, known, keys=keys)
    after = edited(text, changes).encode("utf-8")
    if after == before:
        return ()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    backup = file.with_name(f"{file.name}.{stamp}.bak")
    backup.write_bytes(before)
    _write_whole(file, after)
    try:
        check_workspace(root)
    except LiftwrightError:
        _write_whole(file, before)
        backup.unlink()
        raise
    print(f"Written: {file} (as it was: {backup.name})")
    return tuple(".".join(path) for path in changes)


def write_variables(root: Path, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Set variables in .env, for its owner's eyes alone; gives the names that changed."""
    file = root / ".env"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    changed = []
    for name, value in variables.items():
        line = f"{name}='{value}'"
        pattern = re.compile(rf"^{re.escape(name)}=.*$", re.MULTILINE)
        found = pattern.search(text)
        if found is not None and found[0] == line:
            continue
        changed.append(name)
        if found is not None:
            text = f"{text[: found.start()]}{line}{text[found.end() :]}"
        else:
            text += f"{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n"
    if changed:
        _write_whole(file, text.encode("utf-8"), mode=0o600)
        print(f"Written: {file} ({', '.join(changed)})")
    return tuple(changed)


def _write_whole(file: Path, data: bytes, mode: int = 0) -> None:
    """Write a file whole or not at all; without a mode it keeps the one that it has."""
    part = file.with_name(f".{file.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    part.chmod(mode or file.stat().st_mode & 0o777)
    part.replace(file)


def read_outputs(text: str) -> dict[str, str]:
    """Outputs of a deployment, as `az` gives them ({name: {value: …}}) or `azd` ({name: …}).

    Raises:
        WriteError: where it is neither.
    """
    try:
        found = json.loads(text)
        # Resource Manager may give the names in another case.
        return {
            name.upper(): str(item["value"] if isinstance(item, dict) else item)
            for name, item in found.items()
        }
    except (ValueError, AttributeError, KeyError):
        raise WriteError("the deployment's outputs are not what `az` gives") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The commands that the scripts call; gives the exit status."""
    parser = argparse.ArgumentParser(prog="azure_workspace.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="Whether Liftwright can read the workspace.")
    check.add_argument("--workspace", type=Path, required=True)
    write = commands.add_parser("write", help="Name the deployed services in it.")
    write.add_argument("--workspace", type=Path, required=True)
    write.add_argument("--outputs", type=Path, help="JSON of outputs; standard input if missing.")
    write.add_argument("--keys", action="store_true", help="Ask the services with keys.")
    get = commands.add_parser("get", help="One output of the deployment.")
    get.add_argument("name")
    get.add_argument("--outputs", type=Path, required=True)
    nearest = commands.add_parser("nearest", help="Names on standard input that are like one.")
    nearest.add_argument("word")
    given = parser.parse_args(arguments)
    try:
        return _answer(given)
    except (LiftwrightError, WriteError, yaml.YAMLError) as error:
        sys.stderr.write(f"{error}\n")
    except KeyError as error:
        sys.stderr.write(f"the deployment has no output {error}; deploy main.bicep anew\n")
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    return WRONG_INPUT


def _answer(given: argparse.Namespace) -> int:
    if given.command == "nearest":
        names = sys.stdin.read().split()
        print(" ".join(difflib.get_close_matches(given.word, names, 3, 0.5)))
        return 0
    if given.command == "check":
        check_workspace(given.workspace)
        return 0
    text = given.outputs.read_text(encoding="utf-8") if given.outputs else sys.stdin.read()
    outputs = read_outputs(text)
    if given.command == "get":
        print(outputs.get(given.name, ""))
        return 0
    changed = write_config(given.workspace, outputs, keys=given.keys)
    # From the environment, not from the command line, which every process of the machine can read.
    wanted = ("APPLICATIONINSIGHTS_CONNECTION_STRING", *(KEYS if given.keys else ()))
    variables = {name: os.environ[name] for name in wanted if os.environ.get(name)}
    written = write_variables(given.workspace, variables)
    if not changed and not written:
        print("The workspace names the deployed services already; nothing is changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
