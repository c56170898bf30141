"""azure_config.yaml: which provider serves each port, how services are called, what they charge.

The blocks of single providers (`azure_openai`, `spark`, a plug-in's …) are not here: each provider
brings the model of its own block, and `wiring` adds them to `Services`.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from datetime import date  # noqa: TC003 - the same
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from liftwright.config.model import ConfigModel, Count, Name, NotNegative, Positive
from liftwright.errors import DataError
from liftwright.model import is_url, parse_url

if TYPE_CHECKING:
    from liftwright.model import Usage

# Without a user and a query: neither a password nor a token belongs in the configuration.
_Address = Annotated[str, Field(pattern=r"^https?://[^/\s@?]+(/[^\s?]*)?$")]
_MILLION, _THOUSAND = 1_000_000, 1_000


class Adapters(ConfigModel):
    """The provider of each port, by its name."""

    complete: Name = "embedded"
    embed: Name = "embedded"
    search: Name = "embedded"
    screen: Name = "embedded"
    engine: Name = "duckdb"
    store: Name = "sqlite"
    track: Name = "json"
    secrets: Name = "environment"
    telemetry: Name = "off"


class Authentication(ConfigModel):
    """Who Liftwright is to Azure: for its services, and for its object store."""

    method: Literal["api_key", "managed_identity", "azure_cli", "default"] = "default"
    client_id: str | None = None


# ── Calls ─────────────────────────────────────────────────────────────────────────────────────


class Timeouts(ConfigModel):
    """Seconds that one attempt may take, per port."""

    complete: Positive = 10.0
    embed: Positive = 10.0
    index: Positive = 30.0
    search: Positive = 1.0
    screen: Positive = 2.0


class RequestRates(ConfigModel):
    """Requests that may begin in any 60 seconds, per port; null is no limit."""

    complete: Count | None = None
    embed: Count | None = None
    index: Count | None = None
    search: Count | None = None
    screen: Count | None = None
    shield: Count | None = None
    judge: Count | None = None


class TokenRates(ConfigModel):
    """Tokens that may be sent in any 60 seconds, per port; null is no limit."""

    complete: Count | None = None
    embed: Count | None = None


class Breaker(ConfigModel):
    """When a service that fails call after call is no longer asked."""

    failures: Annotated[int, Field(ge=1, le=100)] = 3
    cool_down_seconds: Positive = 30.0
    probes: Annotated[int, Field(ge=1, le=20)] = 2


class Calls(ConfigModel):
    """How calls to the outside are made."""

    retries: Annotated[int, Field(ge=0, le=10)] = 3
    backoff_seconds: NotNegative = 2.0
    max_wait_seconds: Positive = 60.0
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    requests_per_minute: RequestRates = RequestRates()
    tokens_per_minute: TokenRates = TokenRates()
    breaker: Breaker = Breaker()
    timeout_seconds: Timeouts = Timeouts()


# ── Prices, each with the day it was looked up ────────────────────────────────────────────────


class Price(ConfigModel):
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


class EmbeddingPrice(ConfigModel):
    """What an embedding model's tokens cost, in US dollars per million, as of a day."""

    input_usd_per_million: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """What the texts' tokens cost; a vector itself costs nothing."""
        return usage.tokens.input * self.input_usd_per_million / _MILLION


class ServicePrice(ConfigModel):
    """What a service's units cost, in US dollars per thousand, as of a day."""

    usd_per_thousand: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """What the text records or queries cost."""
        return usage.units * self.usd_per_thousand / _THOUSAND


# ── The file ──────────────────────────────────────────────────────────────────────────────────


class ObjectStores(ConfigModel):
    """Where object stores are, how long they may take, and where tables are put."""

    export_to: Name | None = None
    s3_endpoint: _Address | None = None
    azure_endpoint: _Address | None = None
    gcs_endpoint: _Address | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0

    @field_validator("export_to")
    @classmethod
    def _to_a_store(cls, url: str | None) -> str | None:
        if url is not None and not is_url(url):
            raise ValueError(
                "found a local path, allowed: the URL of a folder in an object store, such as "
                "s3://BUCKET/PREFIX"
            )
        if url is not None:
            try:
                parse_url(url)
            except DataError as error:
                raise ValueError(str(error)) from None
        return url


class Services(ConfigModel):
    """azure_config.yaml, without the blocks that providers bring."""

    adapters: Adapters = Adapters()
    authentication: Authentication = Authentication()
    calls: Calls = Calls()
    prices: Mapping[str, Price] = {}
    embedding_prices: Mapping[str, EmbeddingPrice] = {}
    service_prices: Mapping[str, ServicePrice] = {}
    budget_usd: NotNegative | None = None
    engine_memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s?(MB|GB)$")] | None = None
    engine_threads: Count | None = None
    object_stores: ObjectStores = ObjectStores()

    def options(self, provider: str) -> BaseModel | None:
        """The block of a provider; None where there is none, or it is null."""
        block = getattr(self, provider, None)
        return block if isinstance(block, BaseModel) else None
