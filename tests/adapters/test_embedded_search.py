from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.adapters.embedded.bm25 import Bm25, weighted_counts
from liftwright.adapters.embedded.index_files import MAX_INDEXES, read_index
from liftwright.adapters.embedded.search import EmbeddedIndex, EmbeddedSearch, relevance
from liftwright.errors import InputError, ProviderRefused
from liftwright.model import Document, Identity, Query, Section
from liftwright.text import words

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.ports import IndexReport, Vectors


class HashedWords:
    """An embedder for tests: each word has its own direction."""

    metered = False

    def __init__(self, version: str = "1") -> None:
        self.identity = Identity(provider="test", model="hashed-words", version=version)
        self.asked: list[str] = []

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        self.asked += request
        vectors = np.zeros((len(request), 64), dtype=np.float32)
        for row, text in enumerate(request):
            for word in words(text) or ["nothing"]:
                vectors[row, sum(word.encode()) % 64] += 1
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def document(name: str, *paragraphs: str, **fields: object) -> Document:
    made = Document(
        document_id=name,
        title=f"About {name}",
        category="product",
        sections=(Section(title="Overview", paragraphs=paragraphs),),
        approval_date=date(2026, 1, 1),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


BOOTS = document("boots", "Leather boots for winter walks.", "Wax keeps leather soft.")
TENT = document("tent", "A tent for two persons in summer rain.")
STOVE = document("stove", "A stove that boils water for coffee.", category="Cooking")
CORPUS = (BOOTS, TENT, STOVE)


def index(folder: Path, documents: tuple[Document, ...], embed: HashedWords) -> IndexReport:
    return EmbeddedIndex(folder, embed)(documents, progress=lambda _done, _of: None)


def ids(found: tuple[object, ...]) -> list[str]:
    return [passage.document_id for passage in found]  # type: ignore[attr-defined]


def test_index_other_embedder_embeds_everything_under_another_name(tmp_path: Path) -> None:
    first = index(tmp_path, CORPUS, HashedWords())
    embed = HashedWords("2")
    second = index(tmp_path, CORPUS, embed)
    assert len(embed.asked) == 4
    assert second.name != first.name
    with pytest.raises(ProviderRefused, match="another embedding model"):
        EmbeddedSearch(tmp_path, embed, first.name)(Query(text="boots", top_k=1))


def test_index_old_ones_are_removed_and_recent_ones_kept(tmp_path: Path) -> None:
    names = [
        index(tmp_path, (document("a", f"Text {number}."),), HashedWords()).name
        for number in range(MAX_INDEXES + 2)
    ]
    kept = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert kept == set(names[-MAX_INDEXES:])


def test_index_earlier_corpus_comes_back_as_the_latest(tmp_path: Path) -> None:
    first = index(tmp_path, CORPUS, HashedWords())
    index(tmp_path, (BOOTS,), HashedWords())
    embed = HashedWords()
    again = index(tmp_path, CORPUS, embed)
    assert embed.asked == []
    assert again.name == first.name
    assert json.loads((tmp_path / "recent.json").read_text())[0] == first.name


def test_index_broken_files_are_made_again(tmp_path: Path) -> None:
    name = index(tmp_path, CORPUS, HashedWords()).name
    (tmp_path / name / "arrays.npz").write_bytes(b"torn")
    with pytest.raises(ProviderRefused, match="missing or corrupt"):
        read_index(tmp_path, name)
    (tmp_path / "recent.json").write_text("{")
    report = index(tmp_path, CORPUS, HashedWords())
    assert report.name == name
    assert len(read_index(tmp_path, name).entries) == 4


def test_index_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        index(tmp_path / "file" / "index", CORPUS, HashedWords())


def test_index_failing_embedder_leaves_nothing_behind(tmp_path: Path) -> None:
    class Failing(HashedWords):
        def __call__(self, _request: tuple[str, ...], /) -> Vectors:
            raise ProviderRefused("no model")

    with pytest.raises(ProviderRefused):
        index(tmp_path, CORPUS, Failing())
    assert list(tmp_path.iterdir()) == []


def test_index_two_at_once_agree(tmp_path: Path) -> None:
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.append(index(tmp_path, CORPUS, HashedWords()).name))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(names) == 4
    assert len(set(names)) == 1
    assert len(read_index(tmp_path, names[0]).entries) == 4
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".making-")]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=30),
)
def test_relevance_any_results_never_rise_and_stay_in_range(
    pairs: list[tuple[float, float]],
) -> None:
    cosine, match = (np.array(column) for column in zip(*pairs, strict=True))
    scores = relevance(cosine, match)
    assert len(scores) == len(pairs)
    assert all(a >= b for a, b in pairwise(scores))
    assert all(0 <= score <= 1 for score in scores)


def test_bm25_scores_are_those_of_the_formula() -> None:
    built = Bm25.build([weighted_counts([(text, 1.0)]) for text in ("wax boot", "wax wax tent")])
    scores, most = built.scores(["wax", "absent"])
    rarity = np.log(1 + 0.5 / 2.5)
    lengths = np.array([2, 3]) / 2.5
    counts = np.array([1, 2])
    expected = rarity * counts * 2.2 / (counts + 1.2 * (0.25 + 0.75 * lengths))
    assert scores == pytest.approx(expected, rel=1e-6)
    assert most == pytest.approx(2.2 * (rarity + np.log(1 + 1.5 / 1.5)))


def test_bm25_titles_count_by_their_weight() -> None:
    assert weighted_counts([("Wax", 2.0), ("wax boots", 1.0)]) == {"wax": 3.0, "boot": 1.0}


class DenseWords(HashedWords):
    """An embedder whose vectors have no zeros, so that sums round as with a real model."""

    def __init__(self, seed: int) -> None:
        super().__init__(version=str(seed))
        self.seed = seed

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        turned = (
            np.random.default_rng(self.seed).normal(size=(64, 64)) @ super().__call__(request).T
        )
        unit: Vectors = (turned / np.linalg.norm(turned, axis=0)).T.astype(np.float32)
        return unit


@pytest.mark.parametrize("seed", range(3))
def test_search_equal_passages_are_ordered_by_document_id_wherever_they_stand(
    tmp_path: Path, seed: int
) -> None:
    documents = tuple(
        document(f"d{i:02}", "Boots for the winter rain.", title="Boots") for i in range(11)
    )
    embed = DenseWords(seed)
    name = index(tmp_path, documents, embed).name
    query = Query(text="boots and wax in the rain", top_k=11)

    found = EmbeddedSearch(tmp_path, embed, name)(query)

    assert ids(found) == [f"d{i:02}" for i in range(11)]
