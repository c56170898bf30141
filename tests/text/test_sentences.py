from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.text import sentences, snippet

COPY = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("aAbZ9 .!?\u2026,;:'\"\u201d()[]#-*\n\r\t\u2022$\u00a3%\U0001f389")),
        st.characters(),
    ),
    max_size=300,
)


def texts(text: str) -> list[str]:
    return [span.text for span in sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Boots, e.g. the Ridgeline, ship free.",
        "We open at 9 a.m. Monday to Friday.",
        "Our shop is at No. 5, Mill Lane.",
        "Write to 112 West Street, 18th Flr. New York, NY 10120 or call us.",
        "It costs \u00a34.50 in shops.",
        "It weighs 1.25 kg with poles.",
        "Ask Dr. Hale about fit.",
        "Written by J. Smith for walkers.",
        "We ship to the U.S. and Canada.",
        "Read www.example.com/a.b?c=d for more.",
        "Wait... there is more.",
        '"Ready for rain?" she asked.',
        "Made by Peak Ltd. in Leeds.",
        "It holds approx. 28 litres.",
        "Delivery takes 2.5 days vs. 4 before.",
        "From Jan. 5 we open late.",
        "Yahoo! is a name.",
    ],
)
def test_sentences_stop_inside_sentence_keeps_it_whole(text: str) -> None:
    assert texts(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs $1.50. Buy it.", ["It costs $1.50.", "Buy it."]),
        ("We ship from the U.S. We love it.", ["We ship from the U.S.", "We love it."]),
        ("Open until 5 p.m. You can call.", ["Open until 5 p.m.", "You can call."]),
        ("Is it No. No. It is not.", ["Is it No.", "No.", "It is not."]),
        ("Great! Now what? Go\u2026 Then rest.", ["Great!", "Now what?", "Go\u2026", "Then rest."]),
        ('He said "yes." We agreed.', ['He said "yes."', "We agreed."]),
        ("**Bold end.** Next one.", ["**Bold end.**", "Next one."]),
        ("no capitals here. but a new sentence.", ["no capitals here.", "but a new sentence."]),
        ("Visit https://a.example/x?y=1. Then go.", ["Visit https://a.example/x?y=1.", "Then go."]),
        ("## The heading\nText below it.", ["The heading", "Text below it."]),
        ("- first item\n- second item", ["first item", "second item"]),
        ("1. Open it.\n2) Close it.", ["Open it.", "Close it."]),
        ("Hello Sam,\nYour points wait.", ["Hello Sam,", "Your points wait."]),
        ("Para one\n\npara two", ["Para one", "para two"]),
        ("wrapped in the\nmiddle of it.", ["wrapped in the middle of it."]),
        ("Done. \U0001f389", ["Done. \U0001f389"]),
        ("\u4f60\u597d\u3002\u518d\u89c1\u3002", ["\u4f60\u597d\u3002", "\u518d\u89c1\u3002"]),
        ("Vitamin C. The best.", ["Vitamin C.", "The best."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences_several_are_parted(text: str, expected: list[str]) -> None:
    assert [" ".join(one.split()) for one in texts(text)] == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Wir liefern z. B. nach Wien.", "Das dauert drei Tage."),
        ("Das gilt bis zum 31. Dezember 2026.", "Danach kostet es 20 Euro."),
        ("Im 19. Jahrhundert begann alles.", "Wir sind am 2. Mai da."),
        ("Sie wiegt ca. 300 g inkl. MwSt. und Versand.", "Es gibt Zelte usw. im Angebot."),
        ("M. Dupont vient le 5 janv. 2027.", "Comptez p. ex. trois jours."),
        ("Nos magasins (av. Foch et bd. Voltaire) sont ouverts.", "Venez nous voir."),
        ("En EE. UU. el Sr. Ruiz y la Dra. Mas ayudan.", "Cuesta aprox. 20 euros."),
        ("Il sig. Rossi e il dott. Verdi provano le tende.", "Vedi pag. 12."),
        ("Wij leveren o.a. in Gent en bijv. in Bonn.", "Dhr. Jansen en mevr. De Vries helpen."),
        ("O Sr. Silva e a Sra. Costa testam as tendas.", "Veja a p\u00e1g. 12 e o art. 4."),
    ],
)
def test_sentences_abbreviations_and_dates_abroad_stay_whole(first: str, second: str) -> None:
    assert texts(f"{first} {second}") == [first, second]


@pytest.mark.parametrize(
    "text",
    [
        "It is dry [Source: St. Ives. Guide, No. 5].",
        "It is dry. [Source: A, B]",
        "It is dry. [Source: A, B] [Source: C, D].",
        "It is dry.\n[Source: A, B]",
    ],
)
def test_sentences_citation_belongs_to_sentence_before(text: str) -> None:
    assert texts(f"{text} It is light.") == [text, "It is light."]


@given(COPY)
def test_sentences_any_text_has_exact_offsets_and_loses_no_word(text: str) -> None:
    spans = sentences(text)
    assert all(text[span.start : span.end] == span.text for span in spans)
    assert all(span.text == span.text.strip() != "" for span in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    covered = {place for span in spans for place in range(span.start, span.end)}
    # Only list numbers ("1." and "2)") may stand outside.
    outside = [c for place, c in enumerate(text) if place not in covered and c.isalpha()]
    assert outside == []


def test_snippet_long_text_ends_with_a_sentence() -> None:
    assert (
        snippet("One two three. Four five six. Seven eight.", 7) == "One two three. Four five six."
    )


def test_snippet_long_first_sentence_is_cut_between_words() -> None:
    assert snippet("one two, three four five", 2) == "one two\u2026"


@given(COPY, st.integers(1, 30))
def test_snippet_any_text_keeps_the_limit(text: str, limit: int) -> None:
    assert len(snippet(text, limit).split()) <= limit
