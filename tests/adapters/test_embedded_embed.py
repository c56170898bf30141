"""The embedded sentence model: shapes, determinism, and what happens to a broken file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftwright.adapters.embedded import embed, models
from liftwright.adapters.embedded.embed import MiniLmEmbed, cut_batches
from liftwright.errors import ModelBroken

if TYPE_CHECKING:
    from pathlib import Path

EMBED = MiniLmEmbed()
TEXTS = (
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "",
    "Free returns within 60 days. " * 40,
)


def test_embed_published_example_reproduces_its_similarities() -> None:
    food, bread, girl = EMBED(TEXTS[:3])
    assert float(food @ bread) == pytest.approx(0.7553, abs=0.01)
    assert float(food @ girl) < 0.1


def test_embed_long_text_is_cut_at_256_word_pieces() -> None:
    long = "word " * 254
    first, second = EMBED((long, long + "and a very different end about ships"))
    np.testing.assert_array_equal(first, second)


@settings(max_examples=8)
@given(st.lists(st.text(max_size=80), max_size=24))
def test_embed_remembered_text_has_the_very_vector_it_has_anew(others: list[str]) -> None:
    fresh, remembering = MiniLmEmbed(cache_size=0), MiniLmEmbed()
    remembering((*others, *TEXTS))
    among = remembering((*reversed(TEXTS), *others))
    alone = np.vstack([fresh((text,)) for text in (*reversed(TEXTS), *others)])
    np.testing.assert_array_equal(among, alone)


def test_embed_reply_changed_by_its_caller_leaves_the_memory_as_it_was() -> None:
    embed = MiniLmEmbed()
    expected = embed(TEXTS).copy()
    for _ in range(2):
        reply = embed(TEXTS)
        np.testing.assert_array_equal(reply, expected)
        reply[:] = 0.0


@given(st.lists(st.integers(2, 256), max_size=80))
def test_cut_batches_any_lengths_are_all_there_once_with_little_padding(lengths: list[int]) -> None:
    batches = list(cut_batches(lengths))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        padding = longest * len(batch) - sum(lengths[place] for place in batch)
        assert padding <= 8
        assert longest * len(batch) <= 256 or len(batch) == 1


def test_embed_altered_model_is_refused_by_name_and_sum(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not the model")
    with pytest.raises(ModelBroken, match=r"model\.onnx: .*8199be6f699a"):
        MiniLmEmbed(model=path)(("hello",))


def test_embed_altered_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes((models.FOLDER / "tokenizer.json").read_bytes() + b" ")
    with pytest.raises(ModelBroken, match=r"tokenizer\.json"):
        MiniLmEmbed(tokenizer=path)(("hello",))


def test_installed_model_absent_package_is_named() -> None:
    with pytest.raises(ModelBroken, match="no_such_package_of_models"):
        embed.find_model("no_such_package_of_models")
