from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import typing
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftwright import model
from liftwright.model import (
    CUSTOMERS,
    ENGAGEMENT,
    FEATURES,
    Arm,
    Citation,
    Document,
    FeatureSummary,
    Query,
    Run,
    Section,
    Segment,
    Tokens,
    Variant,
    fingerprint,
    from_json,
    to_json,
)

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def values(kind: object) -> st.SearchStrategy[typing.Any]:  # noqa: PLR0911 - one case a line
    """Values of a field's declared type, small enough to build hundreds of records."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is object:
        return ANY_JSON
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind is str:
        return st.text(st.characters(codec=None), max_size=6)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=4), values(arguments[1]), max_size=2)
    if dataclasses.is_dataclass(kind):
        return records(typing.cast("type", kind))
    if type(None) in arguments:
        return st.one_of(*(values(one) for one in arguments))
    return st.from_type(typing.cast("type", kind))


def records(kind: type) -> st.SearchStrategy[typing.Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})


@pytest.mark.parametrize("kind", [Run, Variant, Document, Segment])
@settings(max_examples=20)
@given(data=st.data())
def test_from_json_record_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    record = data.draw(records(kind))
    text = json.dumps(to_json(record))
    back = from_json(kind, json.loads(text))
    assert back == record
    assert json.dumps(to_json(back)) == text
    assert fingerprint(back) == fingerprint(record)


class Colour(Enum):
    RED = "red"


class Opaque:
    pass


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, True),
        (float, True),
        (int, 1.5),
        (bool, 1),
        (str, None),
        (date, 20260301),
        (date, "2026-02-30"),
        (Tokens, []),
        (Tokens, "x"),
        (Tokens, {"surname": 9}),
        (Arm, {"name": "urgent"}),
        (Tokens, {"input": "9"}),
        (Tokens, {"input": None}),
        (Citation, None),
        (tuple[str, ...], "text"),
        (tuple[str, ...], {"a": 1}),
        (tuple[str, int], ["a", 1, 2]),
        (tuple[str, int], ["a"]),
        (tuple[str, int], [1, "a"]),
        (Mapping[str, int], [["a", 1]]),
        (Mapping[str, int], {"a": "b"}),
        (int | None, "1"),
        (FeatureSummary, {"mean": "low"}),
    ],
)
def test_from_json_value_of_another_form_is_refused(kind: type, value: object) -> None:
    with pytest.raises(ValueError, match=r"expected, found|isoformat|range|missing|surname|share"):
        from_json(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (float, 3, 3.0),
        (int | None, None, None),
        (tuple[str, int], ["a", 1], ("a", 1)),
        (tuple[int, ...], [], ()),
        (Mapping[str, int | None], {"hate": None}, {"hate": None}),
        (object, {"a": [1]}, {"a": [1]}),
    ],
)
def test_from_json_value_of_its_form_is_read(kind: type, value: object, read: object) -> None:
    found = from_json(kind, value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize("impossible", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_to_json_number_that_is_none_becomes_null_and_reads_as_nan(impossible: float) -> None:
    arm = Arm(name="urgent", share=impossible)
    assert to_json(arm) == {"name": "urgent", "share": None}
    assert math.isnan(from_json(Arm, to_json(arm)).share)
    optional = FeatureSummary(
        mean=impossible, median=0.0, std=None, min=0.0, q25=0.0, q75=0.0, max=0.0
    )
    assert from_json(FeatureSummary, to_json(optional)).mean is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Colour.RED, "red"),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 9, 30, tzinfo=UTC), "2026-03-01T09:30:00+00:00"),
        ((1, (2.5, None)), [1, [2.5, None]]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({3, 1}), [1, 3]),
        ({1: True}, {"1": True}),
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (np.float64(0.25), 0.25),
        (Tokens(input=3), {"input": 3, "cached_input": 0, "output": 0}),
    ],
)
def test_to_json_value_has_its_plain_form(value: object, written: object) -> None:
    found = to_json(value)
    assert found == written
    assert json.loads(json.dumps(found)) == written


@pytest.mark.parametrize("value", [Opaque(), Tokens, len, {"a": [Opaque()]}])
def test_to_json_value_without_a_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="JSON"):
        to_json(value)


FINGERPRINTED = (
    "from datetime import date\n"
    "from liftwright.model import Query, Section, Document, fingerprint\n"
    "print(fingerprint({'b': 1, 'a': {'gold', 'silver', 'basic'}},"
    " Query(text='naïve ✓ \\ud83d', top_k=3, min_score=0.1),"
    " Document(document_id='d', title='t', category='c', approval_date=date(2026, 3, 1),"
    " sections=(Section(title='s', paragraphs=('p',)),))))"
)


def test_fingerprint_is_the_same_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINTED],
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed, locale in (("0", "C"), ("4242", "C.UTF-8"))
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b"), ("b", "a")),
        (("ab",), ("a", "b")),
        (("1",), (1,)),
        ((None,), ("null",)),
        ((None,), ()),
        (([],), ({},)),
        ((["a", "b"],), ("a", "b")),
        ((True,), (1,)),
        ((Query(text="a", top_k=3),), (Query(text="a", top_k=4),)),
    ],
)
def test_fingerprint_of_unlike_parts_differs(
    one: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assert fingerprint(*one) != fingerprint(*other)


def test_fingerprint_ignores_the_order_of_a_mapping_and_how_a_sequence_is_kept() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": (2,), "a": 1})


def document(approved: date, expires: date | None) -> Document:
    return Document(
        document_id="d",
        title="t",
        category="policy",
        sections=(Section(title="Overview", paragraphs=("p",)),),
        approval_date=approved,
        expires_on=expires,
    )


@pytest.mark.parametrize(
    ("expires", "day", "valid"),
    [
        (date(2026, 3, 31), date(2026, 2, 28), False),
        (date(2026, 3, 31), date(2026, 3, 1), True),
        (date(2026, 3, 31), date(2026, 3, 31), True),
        (date(2026, 3, 31), date(2026, 4, 1), False),
        (None, date.max, True),
        (None, date(2026, 2, 28), False),
    ],
)
def test_is_valid_holds_from_approval_to_expiry_inclusive(
    expires: date | None, day: date, *, valid: bool
) -> None:
    assert document(date(2026, 3, 1), expires).is_valid(day) is valid


def test_tables_have_the_columns_of_the_contract() -> None:
    assert CUSTOMERS.names == (
        *("customer_id", "age", "location", "tier", "purchase_frequency", "avg_order_value"),
        *("last_engagement_days", "historical_open_rate", "historical_click_rate"),
    )
    assert (CUSTOMERS.names[1], *CUSTOMERS.names[4:]) == FEATURES
    nullable = ("age", "location", "tier", *CUSTOMERS.names[-3:])
    assert tuple(c.name for c in CUSTOMERS.columns if c.nullable) == nullable
    assert [c.high for c in CUSTOMERS.columns if c.high] == [120.0, 1.0, 1.0]
    assert {c.low for c in CUSTOMERS.columns if c.name in FEATURES} == {0.0}
    assert model.SEGMENTED.names == ("customer_id", "segment", "confidence", "reason")
    assert model.ASSIGNMENTS.names == (
        *("customer_id", "segment", "arm", "variant_id", "assigned_at"),
    )
    assert ENGAGEMENT.names[4:10] == (
        *("delivered", "opened", "clicked", "converted", "revenue", "source"),
    )
    assert [c.name for c in ENGAGEMENT.columns if c.nullable] == [
        *("delivered_at", "opened_at", "clicked_at", "converted_at"),
    ]
