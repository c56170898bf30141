"""`--set KEY=VALUE`: one value of one file, for one run.

KEY is a path of keys with dots. It may begin with the file's name (`experiment_config.seed`),
or be as short as it is unique (`seed`, `analysis.alpha`). VALUE is read as YAML.
"""

from __future__ import annotations

import copy
import typing
from typing import TYPE_CHECKING

from pydantic import BaseModel

from liftwright.config.override import Override, stem
from liftwright.config.validation_errors import alternatives, nearest
from liftwright.config.yaml import Path, dotted, parse_value
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator, Mapping, Sequence


def resolve(texts: Sequence[str], files: Mapping[str, type[BaseModel]]) -> tuple[Override, ...]:
    """Find the file and key that each `KEY=VALUE` means.

    Raises:
        ConfigurationError: where the form is wrong, or the key is unknown or ambiguous.
    """
    return tuple(_resolve(text, files) for text in texts)


def applied(data: object, changes: Sequence[Override], file: pathlib.Path) -> object:
    """The data with the changes in place; what was given is left as it is."""
    result = copy.deepcopy(data)
    for change in changes:
        here = result
        for part in change.path[:-1]:
            here = _step(here, part, change, file)
        last = change.path[-1]
        if isinstance(here, dict):
            here[str(last)] = change.value
        elif isinstance(here, list) and isinstance(last, int) and last < len(here):
            here[last] = change.value
        else:
            raise ConfigurationError(f"--set {change.key}: {file} has no such key")
    return result


def _step(here: object, part: str | int, change: Override, file: pathlib.Path) -> object:
    if isinstance(here, dict):
        if here.get(str(part)) is None:
            here[str(part)] = {}
        return here[str(part)]
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return here[part]
    raise ConfigurationError(f"--set {change.key}: {file} has no such key")


def _resolve(text: str, files: Mapping[str, type[BaseModel]]) -> Override:
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
    places = [(file, parts) for file, shape in files.items() if _fits_strictly(shape, parts)]
    if not places:
        places = [
            (file, path)
            for file, shape in files.items()
            for path in _paths(shape)
            if path[-len(parts) :] == parts
        ]
    if len(places) == 1:
        return Override(file=places[0][0], path=places[0][1], value=value)
    if places:
        options = ", ".join(f"{stem(file)}.{dotted(path)}" for file, path in places)
        raise ConfigurationError(f"--set {key}: ambiguous, one of {options}; write it in full")
    known = [f"{stem(file)}.{dotted(p)}" for file, shape in files.items() for p in _paths(shape)]
    short = {name.split(".", 1)[1]: name for name in known}
    hint = nearest(key, [*known, *short])
    raise ConfigurationError(
        f"--set {key}: unknown key" + (f"; {hint}" if hint.startswith("did") else "")
    )


def _fits(shape: object, path: Path) -> bool:
    return bool(path) and any(True for _ in _walk(shape, path, strict=False))


def _fits_strictly(shape: object, path: Path) -> bool:
    return any(True for _ in _walk(shape, path, strict=True))


def _walk(kind: object, path: Path, *, strict: bool) -> Iterator[None]:
    """Yields where a value of type `kind` may have `path`; strictly: its first key is fixed."""
    if not path:
        yield
        return
    for option in alternatives([kind]):
        if isinstance(option, type) and issubclass(option, BaseModel):
            if "root" in option.model_fields:
                if not strict:
                    yield from _walk(option.model_fields["root"].annotation, path, strict=False)
                continue
            for name, field in option.model_fields.items():
                if path[0] in (name, field.alias):
                    yield from _walk(field.annotation, path[1:], strict=False)
        elif typing.get_args(option):
            arguments = typing.get_args(option)
            inner = arguments[0] if arguments[-1] is Ellipsis else arguments[-1]
            yield from _walk(inner, path[1:], strict=False)


def _paths(shape: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """Every fixed key of a shape, as a path."""
    for name, field in shape.model_fields.items():
        if name == "root":
            continue
        path = (*above, field.alias or name)
        yield path
        for option in alternatives([field.annotation]):
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from _paths(option, path)
