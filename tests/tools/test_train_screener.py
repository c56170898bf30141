"""The screener's training: which files it may read, what they say, and how it splits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import screener_data  # noqa: E402 - the path comes first
import screener_lexicon  # noqa: E402
import train_screener  # noqa: E402
from harm_sentences import write_harm_sentences  # noqa: E402
from liftwright.adapters.embedded import models  # noqa: E402
from liftwright.model import CATEGORIES, Identity  # noqa: E402
from retail_negatives import (  # noqa: E402
    write_retail_sentences,
)
from screener_vectors import embed_once  # noqa: E402


@pytest.mark.parametrize(
    "name",
    [*screener_data.REPORTING_ONLY, "moderation.jsonl", "../safety/sst.csv", "diasafety_test.json"],
)
def test_read_allowed_other_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / Path(name).name).write_text("text\n", encoding="utf-8")
    with pytest.raises(screener_data.RefusedFile, match=Path(name).name):
        screener_data.read_allowed(tmp_path, name)


def test_reporting_sets_are_not_on_the_list_of_training_files() -> None:
    assert not set(screener_data.REPORTING_ONLY) & set(screener_data.ALLOWED)


def test_read_allowed_listed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "edos.csv").write_text("x", encoding="utf-8")
    assert screener_data.read_allowed(tmp_path, "edos.csv") == b"x"


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> tuple[screener_data.LabelledText, ...]:
    return screener_data.read_rows(shared_data, seed=3, scale=0.2)


Rows = tuple[screener_data.LabelledText, ...]


def test_read_rows_masks_what_a_source_does_not_say(rows: Rows) -> None:
    by_source: dict[str, set[frozenset[str]]] = {}
    for row in rows:
        by_source.setdefault(row.source, set()).add(frozenset(row.labels))
    assert frozenset(CATEGORIES) in by_source["retail_plain"]
    assert all("self_harm" not in keys for keys in by_source["davidson.csv"])
    assert all("sexual" not in keys for keys in by_source["edos.csv"])
    own = {"retail_plain", "retail_alarming", "retail_line", "fragment", "own"}
    assert set(by_source) <= {*screener_data.ALLOWED, *own, "insult_harm", "insult_harmless"}
    for category in CATEGORIES:
        assert {row.labels.get(category) for row in rows} == {0, 1, None}


def test_read_rows_same_seed_gives_the_same_rows(shared_data: Path, rows: Rows) -> None:
    assert rows == screener_data.read_rows(shared_data, seed=3, scale=0.2)


def test_clean_tweet_loses_the_traces_of_its_medium() -> None:
    tweet = '!!! RT @someone: "Look &amp;amp; learn" #sale https://example.org/x'
    assert screener_data.clean(tweet) == 'Look & learn" sale'


def test_write_retail_sentences_are_many_distinct_and_seeded() -> None:
    made = write_retail_sentences(per_template=14, seed=5)
    assert len({sentence.text for sentence in made}) == len(made) > 3000
    assert made == write_retail_sentences(per_template=14, seed=5)
    assert not [sentence.text for sentence in made if "{" in sentence.text]
    assert {sentence.kind for sentence in made} == {"plain", "line", "alarming"}


def test_read_held_out_texts_are_in_no_training_row(shared_data: Path, rows: Rows) -> None:
    groups = {row.group for row in rows if row.source in {"retail_line", "fragment"}}
    assert groups
    assert not [group for group in groups if screener_data.is_held_out(group)]
    held_out = screener_data.read_held_out(shared_data, seed=3)
    assert min(map(len, held_out.values())) > 500


def test_write_harm_sentences_cover_each_category_and_the_harmless() -> None:
    made = write_harm_sentences(per_template=3, seed=5)
    assert {sentence.category for sentence in made} == {*CATEGORIES, "insult", None}
    assert not [sentence.text for sentence in made if "{" in sentence.text]


def test_make_lexicon_keeps_severe_words_and_no_everyday_ones(shared_data: Path) -> None:
    content = screener_lexicon.make_lexicon(shared_data / "safety")
    entries = content["entries"]
    assert isinstance(entries, dict)
    words = {word for entry in entries.values() for word in entry["words"]}
    assert {"wetback", "cunt"} <= words
    assert not words & {"69", "ass", "spook", "coon", "chink", "hoe", "tranny"}
    assert tuple(entries) == CATEGORIES


def test_shipped_files_are_whole_and_of_this_training() -> None:
    content = models.read_checked(models.FOLDER / "screener.json")
    assert content["seed"] == train_screener.SEED
    assert set(content["heads"]) == set(CATEGORIES)  # type: ignore[call-overload]
    models.read_checked(models.FOLDER / "lexicon.json")


class _CountingEmbed:
    """Vectors from the letters of a text; counts what it is asked for."""

    identity = Identity(provider="test")
    metered = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: tuple[str, ...], /) -> np.ndarray:
        self.asked.extend(request)
        rows = [[float(text.count(letter)) for letter in "abcdefgh"] for text in request]
        return np.array(rows, dtype=np.float32).reshape(len(request), 8)


def test_embed_once_asks_only_for_what_is_new(tmp_path: Path) -> None:
    embed, cache = _CountingEmbed(), tmp_path / "folder" / "vectors.npz"
    first = embed_once(["ab", "cd", "ab"], embed, cache)
    second = embed_once(["cd", "ee"], embed, cache)
    assert embed.asked == ["ab", "cd", "ee"]
    np.testing.assert_array_equal(first[1], second[0])


def test_train_separable_rows_gives_rising_cuts_that_benign_mails_stay_below() -> None:
    chance = np.random.default_rng(3)
    rows, vectors = [], []
    for number in range(800):
        harm = number % 4 == 0
        rows.append(
            screener_data.LabelledText(
                text=str(number),
                source="own",
                labels=dict.fromkeys(CATEGORIES, int(harm)),
                group=str(number),
            )
        )
        vectors.append(chance.normal(1.0 if harm else -1.0, 1.0, size=8))
    calm = chance.normal(-1.0, 1.0, size=(300, 8)).astype(np.float32)
    texts = ["a calm line"] * 100 + ["a calm line of at least eight words, no less"] * 200
    quiet = train_screener.make_features(texts, calm)
    singles = ("traps", "retail_line", "fragment")
    benign = train_screener.Benign(
        pieces=quiet,
        mails=tuple((row, row + 1) for row in range(0, 300, 2)),
        singles={name: quiet[list(range(300))] for name in singles},
    )
    features = train_screener.make_features(["one text"] * 800, np.array(vectors, dtype=np.float32))
    heads = train_screener.train(rows, features, benign)
    for head in heads.values():
        assert list(head.cuts) == sorted(head.cuts)
        assert head.measured["auroc"] > 0.95
        assert head.measured["dev"] + head.measured["train"] == 800
        assert -2 * head.slope <= head.short <= 0
        raw = head.head.score(quiet)
        scores = 1 / (1 + np.exp(-(head.slope * raw + head.offset)))
        assert (scores >= head.cuts[2]).mean() <= 0.02


def test_write_models_gives_files_that_the_screener_reads(
    tmp_path: Path, shared_data: Path
) -> None:
    head = train_screener.Trained(
        head=train_screener.Head(
            weights=np.zeros(384),
            grams=np.linspace(-1, 1, 1 << 15),
            hidden=np.ones((384, 8)),
            hidden_bias=np.ones(8),
            output=np.ones(8),
            bias=0.0,
        ),
        slope=1.0,
        short=-1.0,
        offset=-9.0,
        cuts=(0.2, 0.4, 0.6),
        measured={},
    )
    train_screener.write_models(
        dict.fromkeys(CATEGORIES, head), shared_data / "safety", (), tmp_path
    )
    written = json.loads((tmp_path / "screener.json").read_text(encoding="ascii"))
    assert written["sha256"] == models.checksum(written)
    assert written["heads"]["hate"]["cuts"] == [0.2, 0.4, 0.6]
