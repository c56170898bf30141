from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from liftwright.data import number_at, text_at
from liftwright.model import ColumnKind
from plane_samples import open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.data import Tables

WORDS = ["it's", "b", None, "it's", "{x} $y"]
NUMBERS = [0.25, None, -1.0, 3.0, 1e-9]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    opened.keep("places", "select * from (values (1), (2), (3), (4), (5), (null)) as t(place)")
    yield opened
    opened.close()


def test_pick_word_gives_the_word_at_each_place(tables: Tables) -> None:
    picked = text_at(WORDS, "place")

    rows = tables.rows(f"select place, {picked} from places order by place nulls last")  # noqa: S608

    assert [word for _, word in rows] == [*WORDS, None]


def test_pick_word_written_to_a_file_is_text(tables: Tables, tmp_path: Path) -> None:
    tables.write(f"select {text_at(WORDS, 'place')} as word from places", tmp_path / "w.parquet")  # noqa: S608

    tables.open("back", tmp_path / "w.parquet", text=False)

    assert tables.columns("back") == {"_row": ColumnKind.INTEGER, "word": ColumnKind.TEXT}
    assert {word for (word,) in tables.rows("select word from back")} == set(WORDS)


def test_pick_word_of_no_words_is_null(tables: Tables) -> None:
    assert {word for (word,) in tables.rows(f"select {text_at([], 'place')} from places")} == {  # noqa: S608
        None
    }


def test_pick_number_gives_the_number_at_each_place(tables: Tables) -> None:
    picked = number_at(NUMBERS, "place")

    rows = tables.rows(f"select place, {picked} from places order by place nulls last")  # noqa: S608

    assert [number for _, number in rows] == [*NUMBERS, None]
