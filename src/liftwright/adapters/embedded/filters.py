"""Which passages of an index a query may have, and whom they are for, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.text import phrase

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from typing import TypeVar

    import numpy as np
    import numpy.typing as npt

    from liftwright.adapters.embedded.index_files import Entry
    from liftwright.model import Query

    Key = TypeVar("Key", bound=Hashable)
    Flags = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What filters look at: for each passage the position of its value among the different ones.

    Attributes:
        documents: document ids, sorted, so that positions order as the ids do.
        audience_only: whether the passage is kept from others than its audience.
    """

    documents: tuple[str, ...]
    document: Ints
    categories: tuple[str, ...]
    category: Ints
    audiences: tuple[tuple[str, ...], ...]
    audience: Ints
    audience_only: Flags

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Filters:
        """The filters of an index's passages."""
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

    def named(self, query: Query) -> Floats:
        """The share of the query's audience that each passage is for; 0 for everyone's."""
        import numpy as np

        wanted = {phrase(audience) for audience in query.audience}
        shares = [
            len(wanted.intersection(map(phrase, audience))) / max(len(wanted), 1)
            for audience in self.audiences
        ]
        return np.array(shares, dtype=np.float64)[self.audience]

    def allowed(self, query: Query, named: Floats) -> Ints:
        """The passages that the query may have."""
        import numpy as np

        excluded = set(query.excluded)
        allowed = np.array([name not in excluded for name in self.documents])[self.document]
        if query.categories:
            wanted = set(map(_folded, query.categories))
            allowed &= np.array([name in wanted for name in self.categories])[self.category]
        if query.audience:
            allowed &= (named > 0) | ~self.audience_only
        return np.flatnonzero(allowed)

    def best_of_each_document(self, rows: Ints, scores: Floats) -> Ints:
        """Of `rows` the best one of each document, best first, ties by id."""
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

    different: tuple[Key, ...] = tuple(sorted(set(values)))  # type: ignore[type-var]
    positions = {value: position for position, value in enumerate(different)}
    return different, np.array([positions[value] for value in values], dtype=np.int64)
