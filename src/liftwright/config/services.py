"""The models of azure_config.yaml: providers by port, settings of calls, and prices.

The blocks of single providers (`azure_openai`, `spark`, plug-ins) are defined with the providers;
`wiring` adds them to `Services`.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from datetime import date  # noqa: TC003 - the same
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from liftwright.config.models import ConfigModel, Count, Name, NotNegative, Positive
from liftwright.errors import DataError
from liftwright.model import is_url, parse_url

if TYPE_CHECKING:
    from liftwright.model import Usage

# No user and no query: passwords and tokens do not belong in the configuration.
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
    """How Liftwright authenticates to Azure's services and object stores."""

    method: Literal["api_key", "managed_identity", "azure_cli", "default"] = "default"
    client_id: str | None = None


class Timeouts(ConfigModel):
    """The time-out of one attempt in seconds, per port; null is for the provider to choose."""

    complete: Positive | None = None
    embed: Positive = 10.0
    index: Positive = 30.0
    search: Positive = 1.0
    screen: Positive = 2.0


class RequestRates(ConfigModel):
    """The most requests sent in any 60 seconds, per port; null is no limit."""

    complete: Count | None = None
    embed: Count | None = None
    index: Count | None = None
    search: Count | None = None
    screen: Count | None = None
    shield: Count | None = None
    judge: Count | None = None


class TokenRates(ConfigModel):
    """The most tokens sent in any 60 seconds, per port; null is no limit."""

    complete: Count | None = None
    embed: Count | None = None


class Breaker(ConfigModel):
    """When the circuit breaker stops calls to a failing service."""

    failures: Annotated[int, Field(ge=1, le=100)] = 3
    cool_down_seconds: Positive = 30.0
    probes: Annotated[int, Field(ge=1, le=20)] = 2


class CallSettings(ConfigModel):
    """Retries, rates and time-outs of calls to services."""

    retries: Annotated[int, Field(ge=0, le=10)] = 3
    backoff_seconds: NotNegative = 2.0
    max_wait_seconds: Positive = 60.0
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    requests_per_minute: RequestRates = RequestRates()
    tokens_per_minute: TokenRates = TokenRates()
    breaker: Breaker = Breaker()
    timeout_seconds: Timeouts = Timeouts()


class Price(ConfigModel):
    """The price of a language model's tokens in US dollars per million, as of a day."""

    input_usd_per_million: NotNegative
    cached_input_usd_per_million: NotNegative
    output_usd_per_million: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """The cost of the tokens; the input includes cached tokens."""
        tokens = usage.tokens
        millionths = (
            (tokens.input - tokens.cached_input) * self.input_usd_per_million
            + tokens.cached_input * self.cached_input_usd_per_million
            + tokens.output * self.output_usd_per_million
        )
        return millionths / _MILLION


class EmbeddingPrice(ConfigModel):
    """The price of an embedding model's tokens in US dollars per million, as of a day."""

    input_usd_per_million: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """The cost of the texts' tokens; vectors are free."""
        return usage.tokens.input * self.input_usd_per_million / _MILLION


class ServicePrice(ConfigModel):
    """The price of a service's units in US dollars per thousand, as of a day."""

    usd_per_thousand: NotNegative
    as_of: date

    def usd(self, usage: Usage) -> float:
        """The cost of the text records or queries."""
        return usage.units * self.usd_per_thousand / _THOUSAND


class ObjectStores(ConfigModel):
    """The addresses and time-out of object stores, and the folder for exported tables."""

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
    """azure_config.yaml, without the providers' blocks."""

    adapters: Adapters = Adapters()
    authentication: Authentication = Authentication()
    calls: CallSettings = CallSettings()
    prices: Mapping[str, Price] = {}
    embedding_prices: Mapping[str, EmbeddingPrice] = {}
    service_prices: Mapping[str, ServicePrice] = {}
    budget_usd: NotNegative | None = None
    engine_memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s?(MB|GB)$")] | None = None
    engine_threads: Count | None = None
    object_stores: ObjectStores = ObjectStores()

    def options(self, provider: str) -> BaseModel | None:
        """The block of a provider; None if it is missing or null."""
        block = getattr(self, provider, None)
        return block if isinstance(block, BaseModel) else None
