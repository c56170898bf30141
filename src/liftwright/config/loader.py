"""Reads config/ into validated, frozen values.

An error names the file, line, key, what was found and what is allowed. Values from the command
line (`--set`) are validated like those of the files.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import RootModel, ValidationError

from liftwright.config.experiment import Experiment
from liftwright.config.models import (
    Channel,
    ContentDefaults,
    ContentFile,
    Customers,
    EngagementFormat,
    Frames,
    Safety,
    Segments,
)
from liftwright.config.overrides import apply_overrides, parse_overrides
from liftwright.config.prompt_templates import check_placeholders, read_templates
from liftwright.config.services import Services
from liftwright.config.validation_errors import describe, key_in_file
from liftwright.config.variables import Variables, environment
from liftwright.config.yaml import Tree, load, read_text
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from liftwright.config.overrides import Override

M = TypeVar("M", bound="BaseModel")
_FOOTER = frozenset({"brand", "postal_address", "unsubscribe_url"})
_LINE = frozenset({"brand"})
_SUBJECT = frozenset({"brand", "topic"})
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_WORD = re.compile(r"[\w-]+")


class Channels(RootModel[dict[str, Channel]]):
    """channels.yaml: the channels by name."""


FILES: dict[str, type[BaseModel]] = {
    "azure_config.yaml": Services,
    "experiment_config.yaml": Experiment,
    "customers.yaml": Customers,
    "safety_thresholds.yaml": Safety,
    "segments.yaml": Segments,
    "channels.yaml": Channels,
}

OPTIONAL_FILES: dict[str, type[BaseModel]] = {
    "content.yaml": ContentFile,
    "engagement.yaml": EngagementFormat,
}
"""Files that may be missing; then their defaults apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All configuration of one run.

    Attributes:
        content_defaults: the fields of documents that state none.
        prompts: the templates by file stem: `base_template`, `tone_<tone>`, `control_message`.
        frames: the composer's frames by tone; empty if another writer is used.
        prohibited_phrases: the prohibited phrases with their reasons, which may be empty.
        overrides: the values of `--set` by full key; recorded with the run.
    """

    services: Services
    experiment: Experiment
    customers: Customers
    engagement_format: EngagementFormat
    safety: Safety
    segments: Segments
    channel: Channel
    content_defaults: ContentDefaults
    prompts: Mapping[str, str]
    frames: Mapping[str, Frames]
    prohibited_phrases: Mapping[str, str]
    overrides: Mapping[str, object]


def load_settings(
    root: Path,
    services_model: Callable[[Collection[str]], type[Services]],
    overrides: Sequence[str] = (),
) -> Settings:
    """Read and validate every file of `root`/config.

    Args:
        root: the workspace.
        services_model: gives `Services` with the blocks of the built-in providers, and of the
            plug-ins whose names are in its argument.
        overrides: `KEY=VALUE` each, see `liftwright.config.overrides`.

    Raises:
        ConfigurationError: naming file, line, key, what was found and what is allowed.
    """
    folder = root / "config"
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder}: no such folder; create a workspace with `liftwright init DIR`, "
            "or choose one with `--workspace DIR` or the variable LIFTWRIGHT_WORKSPACE"
        )
    trees = {
        name: load(read_text(folder / name), folder / name)
        for name in (*FILES, *(name for name in OPTIONAL_FILES if (folder / name).exists()))
    }
    variables = Variables(environment(root))
    words = _provider_words(trees["azure_config.yaml"], overrides, variables)
    models = {**FILES, **OPTIONAL_FILES, "azure_config.yaml": services_model(words)}
    for name in OPTIONAL_FILES:
        trees.setdefault(name, load("{}", folder / name))
    changes = parse_overrides(overrides, models, in_full=("engagement.yaml",))
    values = {
        name: _validated(trees[name], model, [c for c in changes if c.file == name], variables)
        for name, model in models.items()
    }
    experiment, channels = values["experiment_config.yaml"], values["channels.yaml"]
    services = values["azure_config.yaml"]
    assert isinstance(experiment, Experiment)  # noqa: S101 - narrows for the type checker
    assert isinstance(channels, Channels)  # noqa: S101 - the same
    assert isinstance(services, Services)  # noqa: S101 - the same
    if experiment.channel not in channels.root:
        raise ConfigurationError(
            f"{folder / 'experiment_config.yaml'}: channel: found {experiment.channel!r}, "
            f"allowed: one of channels.yaml ({', '.join(sorted(channels.root))})"
        )
    for name, channel in channels.root.items():
        where = f"{folder / 'channels.yaml'}: {name}.footer"
        check_placeholders(where, channel.footer, _FOOTER)
    embedded = services.adapters.complete == "embedded"
    frames = {tone: _read_frames(folder, tone, variables) for tone in experiment.tones if embedded}
    return Settings(
        services=services,
        experiment=experiment,
        customers=_of(values, "customers.yaml", Customers),
        engagement_format=_of(values, "engagement.yaml", EngagementFormat),
        safety=_of(values, "safety_thresholds.yaml", Safety),
        segments=_of(values, "segments.yaml", Segments),
        channel=channels.root[experiment.channel],
        content_defaults=_of(values, "content.yaml", ContentFile).defaults,
        prompts=read_templates(folder / "prompts", experiment.tones, variables),
        frames=frames,
        prohibited_phrases=_read_phrases(folder / "prohibited_phrases.txt", variables),
        overrides={change.key: change.value for change in changes},
    )


def _read_frames(folder: Path, tone: str, variables: Variables) -> Frames:
    file = folder / "frames" / f"{tone}.yaml"
    if not file.is_file():
        raise ConfigurationError(
            f"{file}: no such file; the composer needs one for each tone. Write one like the "
            "others there, or remove the tone from experiment_config.yaml"
        )
    frames = _validated(load(read_text(file), file), Frames, [], variables)
    for key, lines in frames:
        allowed = _SUBJECT if key == "subjects" else _LINE
        for index, line in enumerate(lines):
            check_placeholders(f"{file}: {key}.{index}", line, allowed)
    return frames


def _read_phrases(file: Path, variables: Variables) -> dict[str, str]:
    """The prohibited phrases and reasons; empty if the file is missing or has none."""
    try:
        content = file.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not file.is_symlink():
            return {}
        raise ConfigurationError(f"{file}: cannot be read ({error.strerror})") from None
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{number}: not UTF-8") from None
    known: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        text = variables.expand(_COMMENT.sub("", line), f"{file}:{number}")
        if not text.strip():
            continue
        phrase, *reasons = (part.strip() for part in text.split("\t"))
        reason = reasons[0] if reasons else ""
        earlier = known.setdefault(" ".join(phrase.casefold().split()), (phrase, reason))
        if _CONTROL.search(text):
            fault = "found a control character"
        elif not any(map(str.isalnum, phrase)):
            fault = f"found {phrase!r}, allowed: a phrase with a letter or a digit"
        elif len(reasons) > 1:
            fault = "found a second tab, allowed: a phrase, or a phrase, a tab and a reason"
        elif earlier[1] != reason:
            fault = f"{phrase!r} is listed twice, with different reasons"
        else:
            continue
        raise ConfigurationError(f"{file}:{number}: {fault}")
    return dict(known.values())


def _of(values: Mapping[str, BaseModel], name: str, kind: type[M]) -> M:
    value = values[name]
    assert isinstance(value, kind)  # noqa: S101 - narrows for the type checker
    return value


def _provider_words(tree: Tree, overrides: Sequence[str], variables: Variables) -> frozenset[str]:
    """Words that may name a provider: keys and adapters of the file, and words of overrides."""
    data = tree.data if isinstance(tree.data, dict) else {}
    adapters = data.get("adapters")
    chosen = [
        variables.expand(name, tree.at(("adapters", port)))
        for port, name in (adapters.items() if isinstance(adapters, dict) else ())
        if isinstance(name, str)
    ]
    changed = (word for text in overrides for word in _WORD.findall(text))
    return frozenset([*data, *chosen, *changed])


def _validated(tree: Tree, shape: type[M], changes: Sequence[Override], variables: Variables) -> M:
    written = apply_overrides(tree.data, changes, tree.file)
    data = variables.expand_tree(written, shape, lambda path: key_in_file(path, tree, changes))
    try:
        return shape.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        # The message shows what the file says, not the values of variables.
        message = describe(error, shape, written, tree, changes)
        raise ConfigurationError(variables.without_values(message)) from None


__all__ = ["FILES", "OPTIONAL_FILES", "Channels", "Settings", "load_settings"]
