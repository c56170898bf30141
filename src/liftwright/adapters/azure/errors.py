"""What went wrong with a call to Azure, in our words: the service's own could repeat a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from liftwright.adapters.retry_after import retry_after
from liftwright.errors import ConfigurationError, ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.exceptions import AzureError

_PASSING = frozenset({408, 409, 425, 429})
_SERVER_FAULT, _TOO_FAST = 500, 429
# No key, no role, no such address, a version that is retired.
_WHATEVER_IS_ASKED = frozenset({401, 403, 404, 410})
_ADDRESS = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+(:\d{1,5})?)/*")
_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,60}")


def status_fault(
    service: str,
    status: int,
    headers: Mapping[str, str],
    *,
    code: object = None,
    mend: Mapping[int, str] | None = None,
) -> ProviderRefused | ProviderUnavailable:
    """What an answer that is no success amounts to.

    Args:
        service: its name in the message.
        status: of the answer.
        headers: of the answer, found without case.
        code: the service's own name of the fault; told where it is one word.
        mend: what a person can do about it, by status.
    """
    named = f" ({code})" if isinstance(code, str) and _SLUG.fullmatch(code) else ""
    told = f"{service} answered {status}{named}"
    if status in _PASSING or status >= _SERVER_FAULT:
        return ProviderUnavailable(
            told, retry_after_seconds=retry_after(headers), throttled=status == _TOO_FAST
        )
    hint = (mend or {}).get(status)
    return ProviderRefused(
        f"{told}: {hint}" if hint else told, affects_all_requests=status in _WHATEVER_IS_ASKED
    )


def transport_fault(
    service: str, error: AzureError, timeout_seconds: float
) -> ProviderRefused | ProviderUnavailable:
    """What an answer that did not come, or not whole, amounts to."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        ServiceRequestError,
        ServiceRequestTimeoutError,
        ServiceResponseTimeoutError,
    )

    if isinstance(error, ClientAuthenticationError):
        told = f"{service}: no token was given; see `authentication`"
        return ProviderRefused(told, affects_all_requests=True)
    if isinstance(error, ServiceRequestTimeoutError | ServiceResponseTimeoutError):
        return timed_out(service, timeout_seconds)
    if isinstance(error, ServiceRequestError):
        return ProviderUnavailable(f"{service} cannot be reached")
    return ProviderUnavailable(f"{service}'s answer broke off")


def timed_out(service: str, timeout_seconds: float) -> ProviderUnavailable:
    """What an answer that takes too long amounts to."""
    return ProviderUnavailable(f"{service} gave no whole answer within {timeout_seconds:g} s")


def https_address(key: str, address: str) -> str:
    """The address without a slash at its end; a key or token goes to https alone.

    Args:
        key: where the address stands in azure_config.yaml.
        address: as it stands there.

    Raises:
        ConfigurationError: if it is no https address of a host alone.
    """
    match = _ADDRESS.fullmatch(address.strip())
    if match is None:
        raise ConfigurationError(
            f"azure_config.yaml: {key}: found {address!r}, "
            "allowed: the https address of the resource, with nothing after the host"
        )
    return f"https://{match['host']}"


def not_installed(key: str, package: str, extra: str = "azure") -> ConfigurationError:
    """The error where a vendor's package is missing; `extra` is the one of ours that brings it."""
    return ConfigurationError(
        f'azure_config.yaml: {key} needs the package {package}: pip install "liftwright[{extra}]"'
    )
