"""What each service's calls cost, by the prices of azure_config.yaml."""

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


FREE = Pricing(charged=False)


def pricing_of(name: str, port: Port, services: Services) -> Pricing:
    """What the calls to a metered port cost.

    A writer's and an embedder's price is found by the model that its identity names, or by its
    attribute `price_name` where it has one; that of a screener or a search by its provider. So a
    plug-in is priced as the built-in providers are. A search whose attribute `charged` is false
    charges nothing for a query, and no index does for a document: the hourly price of a search
    service is not a call's.

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
    """The tariff of each port that a run calls; what is not metered is free."""
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
