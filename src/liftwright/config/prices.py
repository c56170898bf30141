"""The shapes of the prices in azure_config.yaml; each stands with the day it was looked up."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads the annotations at run time
from typing import TYPE_CHECKING

from liftwright.config.model import NotNegative, Shape

if TYPE_CHECKING:
    from liftwright.model import Usage

_MILLION, _THOUSAND = 1_000_000, 1_000


class Price(Shape):
    """What a writing model's tokens cost, in US dollars per million, as of a day."""

    input_usd_per_million: NotNegative
    cached_input_usd_per_million: NotNegative
    output_usd_per_million: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """What the tokens cost; those from the cache are a part of the input."""
        tokens = usage.tokens
        millionths = (
            (tokens.input - tokens.cached_input) * self.input_usd_per_million
            + tokens.cached_input * self.cached_input_usd_per_million
            + tokens.output * self.output_usd_per_million
        )
        return millionths / _MILLION


class EmbeddingPrice(Shape):
    """What an embedding model's tokens cost, in US dollars per million, as of a day."""

    input_usd_per_million: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """What the texts' tokens cost; a vector itself costs nothing."""
        return usage.tokens.input * self.input_usd_per_million / _MILLION


class ServicePrice(Shape):
    """What a service's units cost, in US dollars per thousand, as of a day."""

    usd_per_thousand: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """What the text records or queries cost."""
        return usage.units * self.usd_per_thousand / _THOUSAND
