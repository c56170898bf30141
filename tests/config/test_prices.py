from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.config import Price
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
