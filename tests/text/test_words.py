from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.text import normalise, phrase, stem, visible_text, words


@pytest.mark.parametrize(
    "forms",
    [
        ("ship", "ships", "shipped", "shipping"),
        ("boot", "boots"),
        ("policy", "policies"),
        ("return", "returns", "returned", "returning"),
        ("box", "boxes"),
        ("delivery", "deliveries"),
        ("run", "runs", "running", "runner", "runners"),
        ("size", "sizes", "sized", "sizing"),
        ("glass", "glasses"),
        ("pass", "passes"),
        ("warm", "warmly", "warmness"),
        ("create", "creates", "creation", "created", "creating"),
    ],
)
def test_stem_forms_of_a_word_meet(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_words_text_gives_stemmed_content_words_and_numbers() -> None:
    text = "The walkers\u2019 Boots: \u00a31,299.00 for 2.5 kg, it\u2019s B2B"
    assert words(text) == ["walk", "boot", "1299", "2.5", "kg", "2"]


def test_words_hidden_characters_and_wide_forms_do_not_matter() -> None:
    assert words("b\u200boots \uff22\uff2f\uff2f\uff34") == ["boot", "boot"]


def test_normalise_folds_forms_and_space() -> None:
    assert normalise("\ufb01t\u200b\u00ad \u2460\n x\u3000y") == "fit 1 x y"


@given(st.text(max_size=100))
def test_normalise_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


def test_phrase_spellings_of_a_label_are_one() -> None:
    assert phrase("Gold Members") == phrase("gold  member")
    assert phrase("The") == ("the",)


def test_visible_text_html_gives_what_a_reader_sees() -> None:
    html = (
        "<head><title>no</title></head><style>p{}</style><p>Hi <b>you</b> &amp; me</p>"
        "<!-- <p>no</p> --><img alt='A boot'/><img><br/>5 < 6<div>b</div><script>x</script></p>"
    )
    assert visible_text(html) == "Hi you & me\nA boot\n5 < 6\nb"
