"""Reads Bicep as far as its faults can be told without a compiler."""

from __future__ import annotations

import re
from collections import Counter
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
# The one type that is a preview for good: it has no later version with groups of categories.
PREVIEWS = frozenset({"Microsoft.Insights/diagnosticSettings@2021-05-01-preview"})
TYPE = re.compile(r"Microsoft\.\w+(/\w+)+@\d{4}-\d{2}-\d{2}(-preview)?")
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SECRET_NAME = re.compile(r"key|secret|password|token|connectionstring", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What one file declares and uses."""

    text: str
    parameters: Mapping[str, bool]
    """By name; whether a value must be given."""
    secure: frozenset[str]
    outputs: Mapping[str, str]
    """By name, the expression."""
    types: tuple[str, ...]
    modules: Mapping[str, tuple[str, frozenset[str]]]
    """By symbol: the file's name, and the parameters that are given."""
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


def read(text: str) -> File:  # noqa: C901 - one branch per kind of declaration
    """A file's declarations, and the faults that it has by itself."""
    root = _parser().parse(text.encode()).root_node
    faults = [
        f"line {node.start_point[0] + 1}: cannot be parsed"
        for node in _walk(root)
        if node.is_error or node.is_missing
    ]
    parameters: dict[str, bool] = {}
    outputs: dict[str, str] = {}
    modules: dict[str, tuple[str, frozenset[str]]] = {}
    secure, declared, types = set(), Counter[str](), []
    used: set[str] = set()
    decorators = ""
    for node in root.named_children:
        if node.type == "decorators":
            decorators = _said(node)
            continue
        names = [_said(child) for child in node.named_children if child.type == "identifier"]
        kind = node.type.partition("_")[0]
        if kind == "parameter":
            parameters[names[0]] = "=" not in _said(node)
            if "@secure()" in decorators:
                secure.add(names[0])
            elif SECRET_NAME.search(names[0]):
                faults.append(f"{names[0]}: is a secret without @secure()")
        if kind in ("parameter", "variable", "resource", "module"):
            declared[names[0]] += 1
        inside = node.named_children[1:]
        if kind == "output":
            outputs[names[0]] = _said(node).partition("=")[2].strip()
        if kind == "resource":
            types.append(_said(inside[0]).strip("'"))
        if kind == "module":
            modules[names[0]] = (_said(inside[0]).strip("'"), frozenset(_given(node)))
        for child in inside:
            if child.type != "type":
                used |= set(_used(child))
        decorators = ""
    faults += [f"{name}: is declared twice" for name, count in declared.items() if count > 1]
    faults += [
        f"{name}: is a parameter that nothing uses" for name in parameters if name not in used
    ]
    faults += sorted(f"{name}: is not declared" for name in used - set(declared))
    faults += _faults_of_types(types) + _faults_of_roles(text) + _faults_of_outputs(outputs, secure)
    return File(
        text=text,
        parameters=parameters,
        secure=frozenset(secure),
        outputs=outputs,
        types=tuple(types),
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


def _faults_of_types(types: list[str]) -> list[str]:
    return [
        f"{name}: is no resource type with a released, dated version"
        for name in types
        if not TYPE.fullmatch(name) or (name.endswith("-preview") and name not in PREVIEWS)
    ]


def _faults_of_roles(text: str) -> list[str]:
    unknown = set(GUID.findall(text)) - set(ROLES)
    return [f"{found}: is no role that is known here" for found in sorted(unknown)]


def _faults_of_outputs(outputs: Mapping[str, str], secure: set[str]) -> list[str]:
    return [
        f"{name}: gives away a secret"
        for name, expression in outputs.items()
        if re.search(r"\blist\w*\(|ConnectionString|InstrumentationKey", expression)
        or any(re.search(rf"\b{secret}\b", expression) for secret in secure)
    ]


def faults_between(files: Mapping[str, File]) -> list[str]:
    """Faults that show where files are held against each other: modules, outputs, versions."""
    faults = []
    for name, file in files.items():
        for symbol, (path, given) in file.modules.items():
            if path not in files:
                faults.append(f"{name}: {symbol}: there is no {path}")
                continue
            other = files[path]
            needed = {key for key, must in other.parameters.items() if must}
            faults += [f"{name}: {symbol}: lacks {key}" for key in sorted(needed - given)]
            faults += [
                f"{name}: {symbol}: {path} has no parameter {key}"
                for key in sorted(given - set(other.parameters))
            ]
            for output in re.findall(rf"\b{symbol}!?\.outputs\.(\w+)", file.text):
                if output not in other.outputs:
                    faults.append(f"{name}: {symbol}: {path} has no output {output}")
    versions: dict[str, set[str]] = {}
    for file in files.values():
        for kind in file.types:
            versions.setdefault(kind.partition("@")[0], set()).add(kind.partition("@")[2])
    faults += [
        f"{kind}: has several versions" for kind, dates in versions.items() if len(dates) > 1
    ]
    return faults
