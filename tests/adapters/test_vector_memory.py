from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from liftwright.adapters.embedded.vector_cache import VectorCache
from liftwright.errors import ModelBroken


def vectors(*texts: str) -> dict[str, np.ndarray]:
    return {text: np.full(2, number, dtype=np.float32) for number, text in enumerate(texts)}


def test_keep_beyond_its_size_forgets_what_was_asked_for_longest_ago() -> None:
    memory = VectorCache(2)
    memory.store(vectors("a", "b"))
    memory.lookup(["a"])
    memory.store(vectors("c"))
    assert set(memory.lookup(["a", "b", "c"])) == {"a", "c"}


def test_keep_longer_than_the_longest_is_not_remembered() -> None:
    memory = VectorCache(4, longest=3)
    memory.store(vectors("abc", "abcd"))
    assert set(memory.lookup(["abc", "abcd"])) == {"abc"}


def test_get_text_that_another_thread_computes_is_computed_once() -> None:
    memory = VectorCache(4)
    begun, go_on = Event(), Event()
    computed: list[tuple[str, ...]] = []

    def compute(texts: tuple[str, ...]) -> np.ndarray:
        computed.append(texts)
        if "a" in texts:
            begun.set()
            assert go_on.wait(10)
        return np.array([[ord(text)] for text in texts], dtype=np.float32)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memory.get, ("a", "b"), compute)
        assert begun.wait(10)
        second = pool.submit(memory.get, ("c", "b", "b"), compute)
        while len(computed) < 2:
            assert not second.done()
        go_on.set()
        assert {text: float(v[0]) for text, v in first.result(10).items()} == {"a": 97, "b": 98}
        assert {text: float(v[0]) for text, v in second.result(10).items()} == {"b": 98, "c": 99}
    assert computed == [("a", "b"), ("c",)]


def test_get_failure_reaches_who_waits_and_is_not_remembered() -> None:
    memory = VectorCache(4)

    def fail(texts: tuple[str, ...]) -> np.ndarray:
        raise ModelBroken(f"{texts}")

    with pytest.raises(ModelBroken):
        memory.get(("a",), fail)
    assert memory.get(("a",), lambda texts: np.ones((len(texts), 1), np.float32))["a"] == [1]
