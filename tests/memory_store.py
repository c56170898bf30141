"""The ledger's store, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Memory:
    """A store whose rows stand in `kept`, by key."""

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, object]] = {}

    def get(self, key: str) -> Mapping[str, object] | None:
        return self.kept.get(key)

    def put(self, key: str, row: Mapping[str, object]) -> None:
        self.kept[key] = {**row, "key": key}

    def rows(self, **equals: object) -> Iterable[Mapping[str, object]]:
        found = list(self.kept.values())
        return [r for r in found if all(r.get(name) == value for name, value in equals.items())]

    def close(self) -> None:
        """Nothing to give back."""
