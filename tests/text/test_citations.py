from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.text import cite, references, without_citations

KNOWN = [("Boots", "Care, Part 2"), ("Boots, Care", "Part 2"), ("A [2025] Guide", "Start")]


def resolved(text: str) -> list[tuple[str | None, str | None]]:
    return [(one.title, one.section) for one in references(text, KNOWN)]


def test_references_title_with_comma_prefers_the_longer_title() -> None:
    assert resolved("x [Source: Boots, Care, Part 2].") == [("Boots, Care", "Part 2")]


def test_references_brackets_in_title_and_folded_space_resolve() -> None:
    assert resolved("[source:  A [2025]\n Guide,  Start ]") == [("A [2025] Guide", "Start")]


@pytest.mark.parametrize(
    "title",
    ["Returns [2025], UK; and more", "A [b [c] d] e [f]", "Guide [draft", "Sale; source: us; end"],
)
def test_references_title_with_marks_reads_back_among_others(title: str) -> None:
    known = [(title, "Overview"), ("Boots", "Care"), ("Boots", "Size")]
    several = f"[Source: Boots, Care; Source: {title}, Overview; Boots, Size]"
    text = f"x {cite(title, 'Overview')} y {several}"
    found = [(one.title, one.section) for one in references(text, known)]
    assert found == [known[0], known[1], known[0], known[2]]
    assert without_citations(text) == "x y"


def test_references_offsets_span_the_bracket() -> None:
    text = "It is dry [Source: A [2025] Guide, Start]."
    (found,) = references(text, KNOWN)
    assert text[found.start : found.end] == cite("A [2025] Guide", "Start")


def test_without_citations_text_closes_the_gaps() -> None:
    text = "Dry [Source: A, B]. Light  [Source: C, D]\nand warm. [Source: E, F]"
    assert without_citations(text) == "Dry. Light\nand warm."


PLAIN = st.text(alphabet="abcXYZ ,.-'&0123", min_size=1, max_size=30).map(
    lambda text: " ".join(text.split()) or "a"
)


@given(PLAIN, PLAIN)
def test_references_what_cite_wrote_resolves(title: str, section: str) -> None:
    (found,) = references(f"Claim {cite(title, section)}.", [(title, section)])
    assert (found.title, found.section) == (title, section)
