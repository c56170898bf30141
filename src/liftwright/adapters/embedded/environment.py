"""Secrets from the environment and the workspace's .env file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class EnvironmentSecrets:
    """The port `secrets`; shows no value in its representation.

    Args:
        variables: names and values, those of the environment before those of .env.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __call__(self, name: str, /) -> str | None:
        """The variable's value; None where it is unset or empty."""
        return self._variables.get(name) or None

    def __repr__(self) -> str:
        return f"EnvironmentSecrets({len(self._variables)} variables)"
