from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import nbformat
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from liftwright.agents.reporting.markdown import escape
from liftwright.agents.reporting.pdf import to_pdf

THEN = datetime(2026, 3, 1, tzinfo=UTC)


def pdf_of(*texts: str) -> str:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(text) for text in texts]
    )
    data = to_pdf(notebook, title="T", footer="F", made_at=THEN)
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(data)).pages)


def test_to_pdf_every_kind_of_markdown_is_printed() -> None:
    found = pdf_of(
        "## Head\n\nPlain **bold** *slanted* `code` [link](https://x.example)\nnext  \nbroken\n\n"
        "- one\n- two\n\n  with a paragraph\n\n1. first\n2. second\n\n> quoted\n\n"
        '```\nfenced $ # "\n```\n\n| a | b |\n|:--|--:|\n| left | 12 |\n'
    )
    assert "Plain bold slanted code link next" in found
    for word in ("Head", "bold", "slanted", "code", "link", "broken", "one", "with a paragraph"):
        assert word in found
    for word in ("first", "second", "quoted", 'fenced $ # "', "left", "12"):
        assert word in found


@given(st.text(st.sampled_from('ab"\\#$@[]{}()*_`<>~=/&;:,.!?-+é€ЖΩ '), min_size=1, max_size=40))
@settings(deadline=None, max_examples=40)
def test_to_pdf_nothing_in_a_text_is_taken_for_typesetting(text: str) -> None:
    found = pdf_of(f"x {escape(text)} x")
    wanted = "".join(text.split())
    assert wanted in "".join(found.split()).replace("\u00ad", "")


def test_to_pdf_long_table_goes_over_pages_with_its_head() -> None:
    rows = "\n".join(f"| row{n} | {n} |" for n in range(120))
    found = pdf_of(f"| Heading | n |\n|---|---|\n{rows}")
    assert found.count("Heading") >= 2
    assert "row119" in found
