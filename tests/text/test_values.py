from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.text import KnownValues, values

PARTS = (
    *("20", "%", "1,5", ".", "-", "to", "March", "May", "3", "2026", "one", "hundred", "and"),
    *("dozen", "\u00a3", "$", "k", "days", "working", "hours", "a.m.", ":", "/", "code", "ABCD1"),
    *("\u00bd", "x", "\u00b0", "th", "half", "price", "twenty"),
)


def read(text: str) -> list[tuple[str, str]]:
    return [(value.kind, value.canonical) for value in values(text)]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("$1,299.00", "USD 1299"),
        ("1299 dollars", "USD 1299"),
        ("US$1299", "USD 1299"),
        ("USD 1,299", "USD 1299"),
        ("\u00a34.50", "GBP 4.5"),
        ("4.50 pounds", "GBP 4.5"),
        ("50p", "GBP 0.5"),
        ("fifty cents", "USD 0.5"),
        ("1.299,00 \u20ac", "EUR 1299"),
        ("4,50 \u20ac", "EUR 4.5"),
        ("4.50\r\u20ac", "EUR 4.5"),
        ("\u00a31.2k", "GBP 1200"),
        ("\u00a32 million", "GBP 2000000"),
        ("CA$5", "CAD 5"),
    ],
)
def test_values_money_any_spelling_is_one_value(text: str, canonical: str) -> None:
    assert read(f"Only {text} now") == [("money", canonical)]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("March 3, 2026", "2026-03-03"),
        ("2026-03-03", "2026-03-03"),
        ("2026-03-03T09:00:00Z", "2026-03-03"),
        ("3rd of March 2026", "2026-03-03"),
        ("3 Mar 2026", "2026-03-03"),
        ("3 March", "--03-03"),
        ("MARCH 3", "--03-03"),
        ("March 2026", "2026-03"),
        ("25/12/2026", "2026-12-25"),
        ("25.12.2026", "2026-12-25"),
        ("25/12/26", "2026-12-25"),
        ("03/04/2026", "2026-03/04"),
    ],
)
def test_values_date_any_spelling_is_one_value(text: str, canonical: str) -> None:
    assert read(f"Ends {text} at last") == [("date", canonical)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in May", [("date", "--05")]),
        ("you may 5", [("number", "5")]),
        ("may May 20% off", [("percent", "20")]),
        ("40 May", []),
        ("45/99/2026", []),
        ("9 a.m.", [("time", "09:00")]),
        ("12 am to 12pm", [("time", "00:00"), ("time", "12:00")]),
        ("5.30 pm", [("time", "17:30")]),
        ("noon or midnight", [("time", "12:00"), ("time", "00:00")]),
        ("17:30", [("time", "17:30")]),
        ("25:10", []),
        ("two weeks", [("duration", "days 14")]),
        ("14-day", [("duration", "days 14")]),
        ("48 hours", [("duration", "days 2")]),
        ("5 hours", [("duration", "hours 5")]),
        ("three-year", [("duration", "months 36")]),
        ("5 working days", [("duration", "working days 5")]),
        ("one day", []),
        ("SPRING20", [("code", "SPRING20")]),
        ("use code WELCOME", [("code", "WELCOME")]),
        ("TARN-20", [("code", "TARN-20")]),
        ("GORE-TEX", []),
        ("28L and 450g", [("measure", "ml 28000"), ("measure", "mg 450000")]),
        ("2.4 kg or 2,400 g", [("measure", "mg 2400000"), ("measure", "mg 2400000")]),
        ("5G in size 8 L", [("number", "5"), ("number", "8")]),
        ("5,000 steps", [("number", "5000")]),
        ("twenty-five", [("number", "25")]),
        ("one hundred and twenty", [("number", "120")]),
        ("a dozen", [("number", "12")]),
        ("2 million", [("number", "2000000")]),
        ("1\u00bd", [("number", "1.5")]),
        ("\u00be", [("number", "0.75")]),
        ("-5 \u00b0C", [("measure", "celsius -5")]),
        ("1st and 2x", [("number", "1"), ("number", "2")]),
        ("half price", [("percent", "50")]),
        ("one jacket", [("number", "1")]),
        ("one of our best", []),
        ("this one", []),
        ("free", []),
        ("B12 and H2O", []),
        ("https://a.example/12?b=3 and a5@b6.example", []),
        ("1.234.567", [("number", "1234567")]),
        ("1.2.3", [("number", "123")]),
    ],
)
def test_values_text_gives_kind_and_canonical(text: str, expected: list[tuple[str, str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2-3 days", [("duration", "days 2"), ("duration", "days 3")]),
        ("2 to 3 working days", [("duration", "working days 2"), ("duration", "working days 3")]),
        ("10 to 20%", [("percent", "10"), ("percent", "20")]),
        ("\u00a320-30", [("money", "GBP 20"), ("money", "GBP 30")]),
        ("20\u201330 pounds", [("money", "GBP 20"), ("money", "GBP 30")]),
        ("3\u20135 March 2026", [("date", "2026-03-03"), ("date", "2026-03-05")]),
        ("March 3-5", [("date", "--03-03"), ("date", "--03-05")]),
        ("March 3-99", [("date", "--03-03"), ("number", "99")]),
        ("March 2026 to 9", [("date", "2026-03"), ("number", "9")]),
    ],
)
def test_values_range_gives_both_ends_the_unit(text: str, expected: list[tuple[str, str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("20%", "twenty percent", True),
        ("20%", "20 points", False),
        ("3 March", "3 March 2026", True),
        ("3 March 2026", "3 March", False),
        ("March 2026", "on 3 March 2026", True),
        ("in March", "3 March", True),
        ("in April", "3 March", False),
        ("4 March", "3 March", False),
        ("2026-04-03", "03/04/2026", True),
        ("since 2026", "3 March 2026", True),
        ("$20", "\u00a320", False),
        ("two weeks", "14 days", True),
        ("5 days", "5 working days", False),
        ("spring SPRING20", "code spring SPRING20", True),
    ],
)
def test_known_values_hold_what_a_source_says(claim: str, source: str, *, expected: bool) -> None:
    assert KnownValues(values(source)).hold(values(claim)[0]) is expected


@given(st.text(max_size=200))
def test_values_any_text_has_exact_offsets(text: str) -> None:
    found = values(text)
    assert all(text[value.start : value.end] == value.text for value in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(
    st.lists(
        st.sampled_from(PARTS),
        max_size=14,
    ),
    st.sampled_from(["", " "]),
)
def test_values_any_mix_of_parts_has_exact_offsets(parts: list[str], gap: str) -> None:
    text = gap.join(parts)
    assert all(text[value.start : value.end] == value.text for value in values(text))
