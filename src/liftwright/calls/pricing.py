"""What each service's calls cost, by the prices of azure_config.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.config import EmbeddingPrice, Price, ServicePrice, Services
    from liftwright.model import Identity, Usage
    from liftwright.ports import Port, Ports

TEXT_RECORDS, QUERIES = "text records", "semantic queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What the calls to one service cost.

    Attributes:
        key: where in azure_config.yaml the price stands, or would stand.
        price: None where none is configured.
        charged: whether the service charges for calls at all.
        unit: what is counted, where it is not tokens.
    """

    key: str = ""
    price: Price | EmbeddingPrice | ServicePrice | None = None
    charged: bool = True
    unit: str | None = None

    @property
    def missing(self) -> bool:
        """Whether calls are charged for at a price that is not known."""
        return self.charged and self.price is None

    def usd(self, usage: Usage) -> float:
        """What the usage costs; 0 where no price is known."""
        return self.price.usd(usage) if self.charged and self.price is not None else 0.0


FREE = Tariff(charged=False)


def tariff_of(port: str, identity: Identity, services: Services) -> Tariff:
    """What a metered port's calls cost.

    A writer's and an embedder's price is found by the model that its identity names, that of a
    screener or a search by its provider; so a third party's adapter is priced as ours are. The
    embedding deployment of Azure OpenAI is priced by `azure_openai.embedding_model`, where that
    is set. A search that does not rank semantically charges nothing for a query, and no index does
    for a document: the hourly price of a search service is not a call's.

    Args:
        port: complete | embed | index | search | screen | shield | judge.
        identity: the adapter's.
        services: azure_config.yaml.
    """
    if port == "complete":
        model = identity.model
        return Tariff(key=f"prices.{model}", price=services.prices.get(model))
    if port == "embed":
        ours = services.azure_openai if services.adapters.embed == "azure_openai" else None
        model = (ours.embedding_model if ours else None) or identity.model
        return Tariff(key=f"embedding_prices.{model}", price=services.embedding_prices.get(model))
    if port in ("screen", "shield"):
        return _by_provider(identity.provider, services, TEXT_RECORDS)
    if port == "judge":
        return _by_provider(f"{identity.provider}_groundedness", services, TEXT_RECORDS)
    azure = services.azure_search if services.adapters.search == "azure_search" else None
    if port == "index" or (azure is not None and azure.semantic_configuration is None):
        return FREE
    return _by_provider(identity.provider, services, QUERIES)


def tariffs(ports: Ports, services: Services) -> Mapping[str, Tariff]:
    """The tariff of each port that a run calls; what is not metered is free."""
    called: dict[str, Port] = {
        "complete": ports.complete,
        "embed": ports.embed,
        "index": ports.index,
        "search": ports.index,
        "screen": ports.screen,
    }
    called |= {"shield": ports.shield} if ports.shield else {}
    called |= {"judge": ports.judge} if ports.judge else {}
    return {
        name: tariff_of(name, port.identity, services) if port.metered else FREE
        for name, port in called.items()
    }


def _by_provider(name: str, services: Services, unit: str) -> Tariff:
    return Tariff(key=f"service_prices.{name}", price=services.service_prices.get(name), unit=unit)
