"""What the search service keeps: an index and its documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class Index:
    """An index: its definition and its documents by key."""

    definition: dict[str, Any]
    documents: dict[str, Row] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """The fields by name."""
        return {one["name"]: one for one in self.definition["fields"]}

    @property
    def key(self) -> str:
        """The name of the key field."""
        return next(name for name, one in self.fields.items() if one.get("key"))

    def named(self, use: str) -> set[str]:
        """The fields with a use."""
        return {name for name, one in self.fields.items() if one.get(use)}
