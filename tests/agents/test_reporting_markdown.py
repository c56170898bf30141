from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from liftwright.agents.reporting import markdown

PARSER = MarkdownIt("commonmark").enable("table")


def shown(markdown: str) -> str:
    """The characters that a reader sees."""
    return "".join(
        child.content
        for token in PARSER.parse(markdown)
        if token.type == "inline"
        for child in token.children or []
    )


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_plain_any_text_is_shown_as_it_is(text: str) -> None:
    assert shown(markdown.escape(text)) == " ".join(text.split())


@given(st.lists(st.text(st.sampled_from("ab |*_`<&$\\-#1.[")), min_size=1, max_size=5))
def test_table_any_cells_stand_in_their_columns(cells: list[str]) -> None:
    tokens = PARSER.parse(markdown.table(["c"] * len(cells), [cells]))
    rows = [token for token in tokens if token.type == "tr_open"]
    found = [
        "".join(child.content for child in tokens[index + 1].children or [])
        for index, token in enumerate(tokens)
        if token.type == "td_open"
    ]
    assert len(rows) == 2
    assert found == [" ".join(cell.split()) for cell in cells]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.1234, "+12.3%"), (-0.05, "−5.0%"), (None, "–"), (0.0, "+0.0%")],  # noqa: RUF001
)
def test_signed_values_have_a_sign_or_a_dash(value: float | None, expected: str) -> None:
    assert markdown.signed_percent(value) == expected


@pytest.mark.parametrize(
    ("p", "significant", "expected"),
    [
        (0.0001, True, "***"),
        (0.005, True, "**"),
        (0.04, True, "*"),
        (0.2, False, "no"),
        (0.0001, False, "no"),
        (None, False, "–"),  # noqa: RUF001
    ],
)
def test_stars_follow_the_verdict_and_then_the_p_value(
    p: float | None,
    significant: bool,  # noqa: FBT001
    expected: str,
) -> None:
    assert markdown.stars(p, significant=significant) == expected
