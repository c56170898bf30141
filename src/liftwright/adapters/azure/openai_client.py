"""The client of Azure OpenAI: its address, its key or token, and hints for its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright.adapters.azure.errors import https_address, not_installed
from liftwright.adapters.azure.request_log import openai_http_client
from liftwright.errors import ConfigurationError, ProviderError, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import openai

    from liftwright.adapters.azure import AzureOpenAI

SERVICE = "Azure OpenAI"


def open_client(
    config: AzureOpenAI,
    api_key: str | None,
    token_provider: Callable[[], str] | None,
    timeout_seconds: float,
) -> openai.OpenAI:
    """A client for the v1 endpoint, or for the configured dated api-version.

    Args:
        config: the resource.
        api_key: the resource's key; ignored if there is a token provider.
        token_provider: gives a token for Cognitive Services.
        timeout_seconds: the time-out of the connection.

    Raises:
        ConfigurationError: the package `openai`, a valid address or a credential is missing.
    """
    endpoint = https_address("azure_openai.endpoint", config.endpoint)
    if token_provider is None and not _is_key(api_key):
        raise ConfigurationError(
            f"azure_config.yaml: azure_openai.api_key_secret: the secret {config.api_key_secret} "
            "is not set, or is not a key; allowed: letters, digits and signs without a space, "
            "or another authentication.method"
        )
    try:
        import openai
    except ImportError as error:
        raise not_installed("azure_openai", "openai") from error
    # Only the retry layer retries.
    if config.api_version is not None:
        return openai.AzureOpenAI(
            azure_endpoint=endpoint,
            api_version=config.api_version,
            api_key=None if token_provider else api_key,
            azure_ad_token_provider=token_provider and _safe(token_provider),
            max_retries=0,
            timeout=timeout_seconds,
            http_client=openai_http_client(),
        )
    return openai.OpenAI(
        base_url=f"{endpoint}/openai/v1/",
        api_key=_safe(token_provider) if token_provider else api_key,
        max_retries=0,
        timeout=timeout_seconds,
        http_client=openai_http_client(),
    )


def _is_key(text: str | None) -> bool:
    # A header cannot contain anything else, and the error for that would repeat the key.
    return bool(text and text.isascii() and text.isprintable() and " " not in text)


def _safe(token_provider: Callable[[], str]) -> Callable[[], str]:
    def token() -> str:
        try:
            return token_provider()
        except ProviderError:
            raise
        except Exception:  # noqa: BLE001 - any error; its message may contain a token
            raise ProviderUnavailable(f"{SERVICE}: no token could be obtained") from None

    return token


def host_of(config: AzureOpenAI) -> str:
    """The resource's host, for identities."""
    return urlsplit(config.endpoint.strip()).netloc.lower()


def hints_by_status(config: AzureOpenAI, key: str, deployment: str) -> Mapping[int, str]:
    """What a person can do, by the status of the response.

    Args:
        config: the resource.
        key: the key of the deployment's name.
        deployment: its name.
    """
    return {
        401: f"the key or token is not this resource's: see authentication.method and the secret "
        f"{config.api_key_secret}",
        403: "the identity lacks the role Cognitive Services OpenAI User, or the resource does not "
        "allow keys or this network",
        404: f"there is no deployment {deployment!r} at azure_openai.endpoint: see "
        f"azure_openai.{key} and azure_openai.api_version",
        410: f"the model of the deployment {deployment!r} is retired: deploy another one and set "
        f"azure_openai.{key}",
        413: "the prompt is too long",
    }
