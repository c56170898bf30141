"""Overrides from the command line: `--set KEY=VALUE` changes one value for one run.

KEY is a dotted path of keys. It may begin with the file's name (`experiment_config.seed`) or be
shortened as long as it is unique (`seed`, `analysis.alpha`). VALUE is YAML.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from liftwright.config.validation_errors import alternatives, inner_types, suggestion
from liftwright.config.yaml import Path, dotted, parse_value
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Collection, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A value from the command line, with its file and key."""

    file: str
    path: Path
    value: object

    @property
    def key(self) -> str:
        """The full key: the file's stem and the path."""
        return f"{stem(self.file)}.{dotted(self.path)}"


def stem(file: str) -> str:
    """A configuration file's name in keys: without its suffix."""
    return file.removesuffix(".yaml")


def parse_overrides(
    texts: Sequence[str],
    files: Mapping[str, type[BaseModel]],
    *,
    in_full: Collection[str] = (),
) -> tuple[Override, ...]:
    """Parse `KEY=VALUE` texts and find the file and key that each one means.

    Args:
        texts: the texts.
        files: the models by file.
        in_full: the files whose keys must begin with the file's name.

    Raises:
        ConfigurationError: the form is wrong, or the key is unknown or ambiguous.
    """
    return tuple(_resolve(text, files, in_full) for text in texts)


def apply_overrides(data: object, changes: Sequence[Override], file: pathlib.Path) -> object:
    """A copy of a file's data with the overrides applied."""
    result = copy.deepcopy(data)
    for change in changes:
        node = result
        for part in change.path[:-1]:
            node = _step(node, part, change, file)
        last = change.path[-1]
        if isinstance(node, dict):
            node[str(last)] = change.value
        elif isinstance(node, list) and isinstance(last, int) and last < len(node):
            node[last] = change.value
        else:
            raise ConfigurationError(f"--set {change.key}: {file} has no such key")
    return result


def _step(node: object, part: str | int, change: Override, file: pathlib.Path) -> object:
    if isinstance(node, dict):
        if node.get(str(part)) is None:
            node[str(part)] = {}
        return node[str(part)]
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        return node[part]
    raise ConfigurationError(f"--set {change.key}: {file} has no such key")


def _resolve(text: str, files: Mapping[str, type[BaseModel]], in_full: Collection[str]) -> Override:
    key, equals, raw = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigurationError(f"--set {text}: allowed: KEY=VALUE, such as analysis.alpha=0.1")
    try:
        value = parse_value(raw)
    except ValueError as error:
        raise ConfigurationError(f"--set {key}: the value is not YAML: {error}") from None
    parts: Path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
    for file, shape in files.items():
        if parts[0] in (stem(file), stem(file).removesuffix("_config")) and _fits(shape, parts[1:]):
            return Override(file=file, path=parts[1:], value=value)
    short = {file: shape for file, shape in files.items() if file not in in_full}
    matches = [(file, parts) for file, shape in short.items() if _fits(shape, parts, strict=True)]
    if not matches:
        matches = [
            (file, path)
            for file, shape in short.items()
            for path in _paths(shape)
            if path[-len(parts) :] == parts
        ]
    if len(matches) == 1:
        return Override(file=matches[0][0], path=matches[0][1], value=value)
    if matches:
        options = ", ".join(f"{stem(file)}.{dotted(path)}" for file, path in matches)
        raise ConfigurationError(f"--set {key}: ambiguous, one of {options}; write it in full")
    known = [f"{stem(file)}.{dotted(p)}" for file, shape in files.items() for p in _paths(shape)]
    unprefixed = {name.split(".", 1)[1]: name for name in known}
    hint = suggestion(key, [*known, *unprefixed])
    raise ConfigurationError(
        f"--set {key}: unknown key" + (f"; {hint}" if hint.startswith("did") else "")
    )


def _fits(shape: object, path: Path, *, strict: bool = False) -> bool:
    """Whether a value of this type may have `path`; `strict`: and its first key is declared."""
    kinds: list[object] = [shape]
    if strict and isinstance(shape, type) and "root" in getattr(shape, "model_fields", {}):
        return False
    for part in path:
        kinds = [inner for kind in kinds for inner in inner_types(kind, part)]
    return bool(path and kinds)


def _paths(shape: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """Every declared key of a model, as a path."""
    for name, field in shape.model_fields.items():
        if name == "root":
            continue
        path = (*above, field.alias or name)
        yield path
        for option in alternatives([field.annotation]):
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from _paths(option, path)
