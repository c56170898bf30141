"""The settings as they go into the key of a stage."""

from __future__ import annotations

from liftwright.errors import InputError


def without_paths(value: object) -> object:
    """Settings without where files lie: what they hold is an input, and digested as such."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items() if key != "path"}
    return [without_paths(item) for item in value] if isinstance(value, list) else value


def settings_of(shape: object) -> object:
    """A settings shape as JSON values, for a stage's key."""
    from pydantic import BaseModel

    if not isinstance(shape, BaseModel):
        raise InputError(f"{type(shape).__name__} is no shape of the settings")
    return shape.model_dump(mode="json")
