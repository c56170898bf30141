"""Runs tracked in MLflow or Azure Machine Learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from liftwright.providers import AdapterContext, Options, Provider

if TYPE_CHECKING:
    from liftwright.ports import Track


class MLflow(Options):
    """MLflow or Azure Machine Learning, as the tracker of runs."""

    tracking_uri: Annotated[str, Field(pattern=r"^(sqlite:///|https?://|azureml://)[^\s@]+$")] = (
        "sqlite:///data/mlflow.db"
    )
    experiment: str | None = None
    token_secret: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0


def _track(context: AdapterContext[MLflow]) -> Track:
    from liftwright.adapters.mlflow.track import MLflowTrack

    options = context.options
    services, experiment = context.settings.services, context.settings.experiment
    return MLflowTrack(
        options,
        context.root,
        experiment=options.experiment or experiment.name,
        parameters={
            "experiment": experiment.name,
            "arms": experiment.arm_shares(),
            "adapters": services.adapters.model_dump(),
            "model": getattr(services.options(services.adapters.complete), "model", None),
        },
        token=context.secret(options.token_secret, "mlflow.token_secret"),
    )


PROVIDER = Provider(adapters={"track": _track}, options=MLflow, address="tracking_uri")
