"""Finds the faults of Bicep files that need no compiler."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import tree_sitter
import tree_sitter_bicep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Built-in roles by id. Source: learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd": "Cognitive Services OpenAI User",
    "a97b65f3-24c7-4388-baec-2e87135dc908": "Cognitive Services User",
    "8ebe5a00-799e-43f5-93ac-243d3dce84a7": "Search Index Data Contributor",
    "7ca78c08-252a-4471-8644-bb5ff32d4ba0": "Search Service Contributor",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "69566ab7-960f-475b-8e7c-b3118f30c6bd": "Storage File Data Privileged Contributor",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SECRET_NAME = re.compile(r"key|secret|password|token|connectionstring", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What one file declares and uses.

    Attributes:
        parameters: by name; whether a value must be given.
        outputs: the expressions by name.
        modules: by symbol, the file's name and the parameters that are given.
        faults: what is wrong with the file by itself.
    """

    text: str
    parameters: Mapping[str, bool]
    outputs: Mapping[str, str]
    modules: Mapping[str, tuple[str, frozenset[str]]]
    faults: tuple[str, ...] = field(default=())


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))


def _walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _said(node: tree_sitter.Node | None) -> str:
    return node.text.decode() if node is not None and node.text else ""


def _used(node: tree_sitter.Node) -> Iterator[str]:
    """The names that an expression uses; of a call, only those of its arguments."""
    children = node.named_children
    if node.type == "object_property" and children[0].type == "identifier":
        children = children[1:]
    elif node.type == "member_expression":
        children = children[:1]
    elif node.type == "call_expression":
        called, *children = children
        if called.type != "identifier":
            yield from _used(called)
    if node.type == "identifier":
        yield _said(node)
    for child in children:
        yield from _used(child)


def read(text: str) -> File:
    """A file's declarations and its own faults."""
    root = _parser().parse(text.encode()).root_node
    faults = [
        f"line {node.start_point[0] + 1}: cannot be parsed"
        for node in _walk(root)
        if node.is_error or node.is_missing
    ]
    parameters: dict[str, bool] = {}
    outputs: dict[str, str] = {}
    modules: dict[str, tuple[str, frozenset[str]]] = {}
    declared, used, decorators = set(), set(), ""
    for node in root.named_children:
        kind, previous = node.type.partition("_")[0], decorators
        decorators = _said(node) if kind == "decorators" else ""
        if not node.named_children or kind == "decorators":
            continue
        name, *inside = node.named_children
        if kind == "parameter":
            parameters[_said(name)] = "=" not in _said(node)
            if SECRET_NAME.search(_said(name)) and "@secure()" not in previous:
                faults.append(f"{_said(name)}: is a secret without @secure()")
        elif kind == "output":
            outputs[_said(name)] = _said(node).partition("=")[2].strip()
        elif kind == "module":
            modules[_said(name)] = (_said(inside[0]).strip("'"), frozenset(_given(node)))
        if kind in ("parameter", "variable", "resource", "module"):
            declared.add(_said(name))
        used |= {one for child in inside if child.type != "type" for one in _used(child)}
    faults += sorted(f"{name}: is not declared" for name in used - declared)
    faults += sorted(f"{found}: is no known role" for found in set(GUID.findall(text)) - set(ROLES))
    faults += [
        f"{name}: gives away a secret"
        for name, expression in outputs.items()
        if re.search(r"\blist\w*\(|ConnectionString|InstrumentationKey|Key\b", expression)
    ]
    return File(
        text=text,
        parameters=parameters,
        outputs=outputs,
        modules=modules,
        faults=tuple(faults),
    )


def _given(module: tree_sitter.Node) -> Iterator[str]:
    for node in _walk(module):
        if node.type == "object_property" and _said(node.named_children[0]) == "params":
            for item in node.named_children[1].named_children:
                if item.type == "object_property":
                    yield _said(item.named_children[0])
            return


def faults_between(files: Mapping[str, File]) -> list[str]:
    """Modules whose files, parameters or outputs do not exist."""
    faults = []
    for name, file in files.items():
        for symbol, (path, given) in file.modules.items():
            other = files[path]
            needed = {key for key, must in other.parameters.items() if must}
            faults += [f"{name}: {symbol}: lacks {key}" for key in needed - given]
            taken = set(re.findall(rf"\b{symbol}!?\.outputs\.(\w+)", file.text))
            unknown = (given - set(other.parameters)) | (taken - set(other.outputs))
            faults += [f"{name}: {symbol}: {path} has no {key}" for key in unknown]
    return faults
