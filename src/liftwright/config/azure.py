"""The shapes of the Azure blocks of azure_config.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, model_validator

from liftwright.config.model import Count, Name, Shape

if TYPE_CHECKING:
    from liftwright.config.models import Services


class Authentication(Shape):
    """Who Liftwright is to Azure."""

    method: Literal["api_key", "managed_identity", "azure_cli", "default"] = "default"
    client_id: str | None = None


class AzureOpenAI(Shape):
    """Azure OpenAI: the v1 endpoint, or a dated api-version of the older form."""

    endpoint: Name
    deployment: Name
    model: Name
    api_version: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$")] | None = None
    reasoning: bool = True
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] = 2000
    embedding_deployment: str | None = None
    embedding_model: str | None = None
    embedding_dimensions: Count | None = None
    api_key_secret: Name = "AZURE_OPENAI_API_KEY"  # noqa: S105 - a name

    @model_validator(mode="after")
    def _reasoning_takes_no_temperature(self) -> AzureOpenAI:
        if self.reasoning and self.temperature is not None:
            raise ValueError("temperature must be null where reasoning is true: it is refused")
        return self


class AzureSearch(Shape):
    """Azure AI Search."""

    endpoint: Name
    index: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")] = "approved-content"
    api_version: str | None = None
    semantic_configuration: str | None = "default"
    vectors: bool = True
    api_key_secret: Name = "AZURE_SEARCH_API_KEY"  # noqa: S105 - a name


class AzureContentSafety(Shape):
    """Azure AI Content Safety."""

    endpoint: Name
    api_version: Name = "2023-10-01"
    output_type: Literal["FourSeverityLevels", "EightSeverityLevels"] = "FourSeverityLevels"
    blocklists: tuple[str, ...] = ()
    prompt_shields: bool = False
    groundedness: bool = False
    api_key_secret: Name = "AZURE_CONTENT_SAFETY_API_KEY"  # noqa: S105 - a name


class KeyVault(Shape):
    """Azure Key Vault, as the source of secrets."""

    url: Name


class AzureMonitor(Shape):
    """Azure Monitor (Application Insights), as the receiver of telemetry."""

    connection_string_secret: Name = "APPLICATIONINSIGHTS_CONNECTION_STRING"  # noqa: S105 - a name
    flush_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0


class Otlp(Shape):
    """A collector that speaks OTLP over HTTP, as the receiver of telemetry."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/\s]+.*$")]
    headers_secret: str | None = None
    flush_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0


class MLflow(Shape):
    """MLflow or Azure Machine Learning, as the tracker of runs."""

    tracking_uri: Annotated[str, Field(pattern=r"^(sqlite:///|https?://|azureml://)[^\s@]+$")] = (
        "sqlite:///data/mlflow.db"
    )
    experiment: str | None = None
    token_secret: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0


def endpoints(services: Services) -> dict[str, str]:
    """The addresses of the services that are configured, by block; without anything secret."""
    found = {
        "openai_compatible": getattr(services.openai_compatible, "base_url", None),
        "azure_openai": getattr(services.azure_openai, "endpoint", None),
        "azure_search": getattr(services.azure_search, "endpoint", None),
        "azure_content_safety": getattr(services.azure_content_safety, "endpoint", None),
        "key_vault": getattr(services.key_vault, "url", None),
    }
    return {name: _bare(address) for name, address in found.items() if address}


def _bare(address: str) -> str:
    """The address without a user, a password and parameters."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
