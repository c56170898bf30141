from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.config import EmbeddingPrice, Price, ServicePrice
from liftwright.model import Tokens, Usage

DAY = date(2026, 11, 1)
CENTS = st.integers(0, 10_000).map(lambda cents: cents / 100)
TOKENS = st.integers(0, 10**7)


@given(prices=st.tuples(CENTS, CENTS, CENTS), fresh=TOKENS, cached=TOKENS, output=TOKENS)
def test_price_of_tokens_is_each_kind_at_its_own_price(
    prices: tuple[float, float, float], fresh: int, cached: int, output: int
) -> None:
    price = Price(
        input_usd_per_million=prices[0],
        cached_input_usd_per_million=prices[1],
        output_usd_per_million=prices[2],
        as_of=DAY,
    )
    tokens = Tokens(input=fresh + cached, cached_input=cached, output=output)
    counts = (fresh, cached, output)
    exact = sum(n * Decimal(str(each)) for n, each in zip(counts, prices, strict=True)) / 10**6
    assert price.usd(Usage(tokens=tokens, units=9)) == pytest.approx(float(exact), rel=1e-12)


@given(cents=CENTS, count=TOKENS)
def test_embedding_price_is_that_of_the_input_alone(cents: float, count: int) -> None:
    price = EmbeddingPrice(input_usd_per_million=cents, as_of=DAY)
    usage = Usage(tokens=Tokens(input=count, output=77), units=9)
    exact = count * Decimal(str(cents)) / 10**6
    assert price.usd(usage) == pytest.approx(float(exact), rel=1e-12)


@given(cents=CENTS, count=TOKENS)
def test_service_price_is_that_of_the_units_alone(cents: float, count: int) -> None:
    price = ServicePrice(usd_per_thousand=cents, as_of=DAY)
    usage = Usage(tokens=Tokens(input=5), units=count)
    assert price.usd(usage) == pytest.approx(float(count * Decimal(str(cents)) / 1000), rel=1e-12)
