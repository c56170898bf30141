"""Spark as the engine of the data plane."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from typing import TYPE_CHECKING

from liftwright.config.models import Name  # noqa: TC001 - pydantic reads them at run time
from liftwright.providers import AdapterContext, Options, Provider

if TYPE_CHECKING:
    from liftwright.ports import Engine


class Spark(Options):
    """The master and the properties, as for `spark-submit --master` and `--conf`."""

    master: Name = "local[*]"
    config: Mapping[str, str] = {}


def _engine(context: AdapterContext[Spark]) -> Engine:
    from liftwright.adapters.spark.engine import SparkEngine

    services = context.settings.services
    return SparkEngine(
        context.options, memory=services.engine_memory, threads=services.engine_threads
    )


PROVIDER = Provider(adapters={"engine": _engine}, options=Spark, default=Spark(), local=True)
