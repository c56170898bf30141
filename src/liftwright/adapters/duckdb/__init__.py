"""DuckDB as the engine of the data plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.providers import AdapterContext, Provider

if TYPE_CHECKING:
    from liftwright.ports import Engine


def _engine(context: AdapterContext[None]) -> Engine:
    from liftwright.adapters.duckdb.engine import DuckDBEngine

    services = context.settings.services
    return DuckDBEngine(
        context.root / "data", memory=services.engine_memory, threads=services.engine_threads
    )


PROVIDER = Provider(adapters={"engine": _engine}, local=True)
