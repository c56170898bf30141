"""Errors of Azure's transport, and checks of addresses and packages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from liftwright.adapters.http_errors import connection_error
from liftwright.errors import ConfigurationError, ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError

_ADDRESS = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+(:\d{1,5})?)/*")


def transport_error(
    service: str, error: AzureError, timeout_seconds: float
) -> ProviderRefused | ProviderUnavailable:
    """The error for a missing or incomplete response."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        ServiceRequestError,
        ServiceResponseTimeoutError,
    )

    if isinstance(error, ClientAuthenticationError):
        message = f"{service}: no token was issued; see `authentication`"
        return ProviderRefused(message, affects_all_requests=True)
    if isinstance(error, ServiceResponseTimeoutError):
        return timeout_error(service, timeout_seconds)
    if isinstance(error, ServiceRequestError):
        return connection_error(service, error)
    return ProviderUnavailable(f"{service}'s response was cut off")


def timeout_error(service: str, timeout_seconds: float) -> ProviderUnavailable:
    """The error for a response that takes too long; the service may have done the work."""
    return ProviderUnavailable(
        f"{service} gave no complete response within {timeout_seconds:g} s; it may bill the attempt"
    )


def https_address(key: str, address: str) -> str:
    """The address without a trailing slash; keys and tokens are sent only over https.

    Args:
        key: the key of azure_config.yaml that has the address.
        address: the configured address.

    Raises:
        ConfigurationError: it is not an https address with only a host.
    """
    match = _ADDRESS.fullmatch(address.strip())
    if match is None:
        raise ConfigurationError(
            f"azure_config.yaml: {key}: found {address!r}, "
            "allowed: the https address of the resource, with nothing after the host"
        )
    return f"https://{match['host']}"


def not_installed(key: str, package: str, extra: str = "azure") -> ConfigurationError:
    """The error for a missing vendor package, which our extra `extra` installs."""
    return ConfigurationError(
        f'azure_config.yaml: {key} needs the package {package}: pip install "liftwright[{extra}]"'
    )
