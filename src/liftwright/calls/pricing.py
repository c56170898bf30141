"""The price of each service's calls, from azure_config.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.config import EmbeddingPrice, Price, ServicePrice, Services
    from liftwright.model import Usage
    from liftwright.ports import Port, Ports

TEXT_RECORDS, QUERIES = "text records", "semantic queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """The price of calls to one service.

    Attributes:
        key: the key of the price in azure_config.yaml.
        price: None if none is configured.
        charged: whether the service bills calls at all.
        unit: the billed unit, if it is not tokens.
    """

    key: str = ""
    price: Price | EmbeddingPrice | ServicePrice | None = None
    charged: bool = True
    unit: str | None = None

    @property
    def missing(self) -> bool:
        """Whether calls are billed at an unknown price."""
        return self.charged and self.price is None

    def usd(self, usage: Usage) -> float:
        """The cost of some usage; 0 if no price is known."""
        return self.price.usd(usage) if self.charged and self.price is not None else 0.0


FREE = Pricing(charged=False)


def pricing_of(name: str, port: Port, services: Services) -> Pricing:
    """The pricing of a metered port.

    A writer's and an embedder's price is looked up by its `price_name` attribute, or else by the
    model in its identity; all others by their provider. Plug-ins are priced in the same way. A
    search with `charged = False` bills no queries, and indexing is never billed: a search service
    costs by the hour, not by the call.

    Args:
        name: complete | embed | index | search | screen | shield | judge.
        port: the adapter.
        services: the prices.
    """
    identity = port.identity
    model: str = getattr(port, "price_name", None) or identity.model
    if name == "complete":
        return Pricing(key=f"prices.{model}", price=services.prices.get(model))
    if name == "embed":
        return Pricing(key=f"embedding_prices.{model}", price=services.embedding_prices.get(model))
    if name in ("screen", "shield"):
        return _by_provider(identity.provider, services, TEXT_RECORDS)
    if name == "judge":
        return _by_provider(f"{identity.provider}_groundedness", services, TEXT_RECORDS)
    if name == "index" or not getattr(port, "charged", True):
        return FREE
    return _by_provider(identity.provider, services, QUERIES)


def pricing_by_port(ports: Ports, services: Services) -> Mapping[str, Pricing]:
    """The pricing of each port that a run calls; ports that are not metered are free."""
    called: dict[str, Port] = {
        "complete": ports.complete,
        "embed": ports.embed,
        "index": ports.index,
        "search": ports.search("") if ports.index.metered else ports.index,
        "screen": ports.screen,
    }
    called |= {"shield": ports.shield} if ports.shield else {}
    called |= {"judge": ports.judge} if ports.judge else {}
    return {
        name: pricing_of(name, port, services) if port.metered else FREE
        for name, port in called.items()
    }


def _by_provider(name: str, services: Services, unit: str) -> Pricing:
    return Pricing(key=f"service_prices.{name}", price=services.service_prices.get(name), unit=unit)
