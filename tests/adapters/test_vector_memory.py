from __future__ import annotations

import numpy as np

from liftwright.adapters.embedded.vector_cache import VectorMemory


def vectors(*texts: str) -> dict[str, np.ndarray]:
    return {text: np.full(2, number, dtype=np.float32) for number, text in enumerate(texts)}


def test_keep_beyond_its_size_forgets_what_was_asked_for_longest_ago() -> None:
    memory = VectorMemory(2)
    memory.keep(vectors("a", "b"))
    memory.recall(["a"])
    memory.keep(vectors("c"))
    assert set(memory.recall(["a", "b", "c"])) == {"a", "c"}


def test_keep_longer_than_the_longest_is_not_remembered() -> None:
    memory = VectorMemory(4, longest=3)
    memory.keep(vectors("abc", "abcd"))
    assert set(memory.recall(["abc", "abcd"])) == {"abc"}


def test_keep_holds_a_row_of_its_own() -> None:
    whole = np.ones((2, 2), dtype=np.float32)
    memory = VectorMemory(2)
    memory.keep({"a": whole[0]})
    whole[0] = 7
    assert memory.recall(["a"])["a"].tolist() == [1, 1]
