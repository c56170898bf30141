"""The filters of the embedded search: categories, audiences and exclusions, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.text import phrase

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from typing import TypeVar

    import numpy as np
    import numpy.typing as npt

    from liftwright.adapters.embedded.index_files import IndexEntry
    from liftwright.model import Query

    Key = TypeVar("Key", bound=Hashable)
    Flags = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterIndex:
    """The filtered fields of an index's passages: distinct values, and each passage's index.

    Attributes:
        documents: document ids, sorted, so that indexes sort as the ids do.
        audience_only: whether the passage is restricted to its audience.
    """

    documents: tuple[str, ...]
    document: Ints
    categories: tuple[str, ...]
    category: Ints
    audiences: tuple[tuple[str, ...], ...]
    audience: Ints
    audience_only: Flags

    @classmethod
    def of(cls, entries: Sequence[IndexEntry]) -> FilterIndex:
        """Build the arrays from an index's entries."""
        import numpy as np

        documents, document = _coded([entry.document_id for entry in entries])
        categories, category = _coded([_folded(entry.category) for entry in entries])
        audiences, audience = _coded([entry.audience for entry in entries])
        return cls(
            documents=documents,
            document=document,
            categories=categories,
            category=category,
            audiences=audiences,
            audience=audience,
            audience_only=np.array([entry.audience_only for entry in entries], dtype=bool),
        )

    def audience_shares(self, query: Query) -> Floats:
        """The share of the query's audiences that each passage names; 0 if it names none."""
        import numpy as np

        wanted = {phrase(audience) for audience in query.audience}
        shares = [
            len(wanted.intersection(map(phrase, audience))) / max(len(wanted), 1)
            for audience in self.audiences
        ]
        return np.array(shares, dtype=np.float64)[self.audience]

    def allowed(self, query: Query, shares: Floats) -> Ints:
        """The indexes of the passages that pass the query's filters."""
        import numpy as np

        excluded = set(query.excluded)
        allowed = np.array([name not in excluded for name in self.documents])[self.document]
        if query.categories:
            wanted = set(map(_folded, query.categories))
            allowed &= np.array([name in wanted for name in self.categories])[self.category]
        if query.audience:
            allowed &= (shares > 0) | ~self.audience_only
        return np.flatnonzero(allowed)

    def best_of_each_document(self, rows: Ints, scores: Floats) -> Ints:
        """The best of `rows` per document, best first, ties by id."""
        import numpy as np

        order = np.lexsort((rows, self.document[rows], -scores))
        ranked = rows[order]
        _, first = np.unique(self.document[ranked], return_index=True)
        best: Ints = ranked[np.sort(first)]
        return best


def _folded(category: str) -> str:
    return category.strip().casefold()


def _coded(values: Sequence[Key]) -> tuple[tuple[Key, ...], Ints]:
    import numpy as np

    distinct: tuple[Key, ...] = tuple(sorted(set(values)))  # type: ignore[type-var]
    positions = {value: position for position, value in enumerate(distinct)}
    return distinct, np.array([positions[value] for value in values], dtype=np.int64)
