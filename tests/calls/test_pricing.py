from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from liftwright.adapters.azure import AzureOpenAI, AzureSearch
from liftwright.adapters.azure.openai import AzureOpenAIEmbed
from liftwright.adapters.azure.search import AzurePassageSearch
from liftwright.calls.cache_policy import embed_policy
from liftwright.calls.client import Calls, PortClient
from liftwright.calls.pricing import pricing_of
from liftwright.config import CallSettings, Services
from liftwright.model import Identity, Tokens, Usage

MODEL = {"input_usd_per_million": 1.0, "as_of": "2026-11-01"}
PRICES: dict[str, Any] = {
    "prices": {
        "writer": {**MODEL, "cached_input_usd_per_million": 0.5, "output_usd_per_million": 4.0}
    },
    "embedding_prices": {"small": MODEL},
    "service_prices": {
        "acme": {"usd_per_thousand": 2.0, "as_of": "2026-11-01"},
        "azure_search": {"usd_per_thousand": 3.0, "as_of": "2026-11-01"},
    },
}
SERVICES = Services.model_validate(PRICES)


@dataclass(frozen=True)
class Adapter:
    """The attributes that determine a price."""

    identity: Identity
    metered: bool = True


def tokens(given: float, cached: float = 0, written: float = 0) -> Usage:
    return Usage(tokens=Tokens(input=int(given), cached_input=int(cached), output=int(written)))


@pytest.mark.parametrize(
    ("port", "identity", "usage", "usd"),
    [
        ("complete", Identity(provider="acme", model="writer"), tokens(2e6, 1e6, 1e6), 5.5),
        ("embed", Identity(provider="acme", model="small"), tokens(500_000), 0.5),
        ("screen", Identity(provider="acme", model="any"), Usage(units=500), 1.0),
        ("search", Identity(provider="acme", model="any"), Usage(units=500), 1.0),
    ],
)
def test_tariff_of_a_third_party_is_found_by_what_its_identity_names(
    port: str, identity: Identity, usage: Usage, usd: float
) -> None:
    tariff = pricing_of(port, Adapter(identity), SERVICES)
    assert tariff.usd(usage) == pytest.approx(usd)
    assert not tariff.missing


@pytest.mark.parametrize(
    ("port", "key"),
    [
        ("complete", "prices.m"),
        ("embed", "embedding_prices.m"),
        ("screen", "service_prices.p"),
        ("search", "service_prices.p"),
    ],
)
def test_tariff_of_an_unknown_price_is_missing_and_names_its_key(port: str, key: str) -> None:
    tariff = pricing_of(port, Adapter(Identity(provider="p", model="m")), SERVICES)
    assert (tariff.missing, tariff.key) == (True, key)
    assert tariff.usd(Usage(units=5, tokens=Tokens(input=5))) == 0.0


@pytest.mark.parametrize(("named", "missing"), [("small", False), (None, True)])
def test_tariff_of_an_embedding_deployment_goes_by_its_model_where_that_is_named(
    named: str | None,
    missing: bool,  # noqa: FBT001
) -> None:
    config = AzureOpenAI(
        endpoint="https://x.example",
        deployment="d",
        model="writer",
        embedding_deployment="vectors",
        embedding_model=named,
    )
    port = AzureOpenAIEmbed(config, api_key="k", token_provider=None, timeout_seconds=1)
    assert pricing_of("embed", port, SERVICES).missing is missing
    client = PortClient(port, embed_policy(SERVICES, port), Calls(CallSettings()))
    assert pricing_of("embed", client, SERVICES).missing is missing


@pytest.mark.parametrize(("semantic", "charged"), [("default", True), (None, False)])
def test_tariff_of_azure_search_charges_for_semantic_queries_alone(
    semantic: str | None,
    charged: bool,  # noqa: FBT001
) -> None:
    config = AzureSearch(
        endpoint="https://x.example", semantic_configuration=semantic, vectors=False
    )
    port = AzurePassageSearch(config, None, "one", api_key="k")
    found = pricing_of("search", port, SERVICES)
    assert (found.charged, found.usd(Usage(units=1000))) == (charged, 3.0 if charged else 0.0)
    assert not pricing_of("index", port, SERVICES).charged
