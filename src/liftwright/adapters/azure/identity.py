"""Authentication with Azure: the configured credential, and its tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

from liftwright.adapters.azure.errors import not_installed
from liftwright.adapters.azure.request_log import IDENTITY, logging_transport
from liftwright.adapters.http_errors import retry_after
from liftwright.errors import ConfigurationError, ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import (
        AccessToken,
        AccessTokenInfo,
        TokenCredential,
        TokenRequestOptions,
    )
    from azure.core.pipeline import PipelineResponse

    from liftwright.config import Authentication

T = TypeVar("T")

COGNITIVE_SERVICES = "https://cognitiveservices.azure.com/.default"
SEARCH = "https://search.azure.com/.default"
KEY_VAULT = "https://vault.azure.net/.default"

_TIMEOUT_SECONDS = 10
# A virtual machine's identity endpoint answers 410 while it is being updated.
_RETRIED = frozenset({408, 410, 425, 429})
_SERVER_ERROR = 500
_ENTRA_CODE = re.compile(r"\bAADSTS\d{4,8}\b")

_HINTS = {
    "managed_identity": (
        "run this where Azure gives it a managed identity, name a user-assigned one in "
        "authentication.client_id, or set authentication.method to azure_cli on your own machine"
    ),
    "azure_cli": (
        "install the Azure CLI, run `az login`, and choose the subscription with `az account set`"
    ),
    "default": (
        "run `az login`, or run this where it has a managed identity, or set AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
    ),
}


class Credential:
    """Wraps a credential of azure-identity and translates its errors, with hints.

    Args:
        method: `authentication.method`.
        inner: the wrapped credential.
    """

    def __init__(self, method: str, inner: Any) -> None:  # noqa: ANN401 - both forms of token protocol
        self._method, self._inner = method, inner

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **more: Any,  # noqa: ANN401 - the vendor's protocol
    ) -> AccessToken:
        """A token for the scopes.

        Raises:
            ProviderRefused: where there is no such identity, or it is not let in.
            ProviderUnavailable: where who gives the tokens cannot be reached.
        """
        token = self._translated(
            lambda: self._inner.get_token(
                *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **more
            )
        )
        return cast("AccessToken", token)

    def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """As `get_token`, for newer clients."""
        token = self._translated(lambda: self._inner.get_token_info(*scopes, options=options))
        return cast("AccessTokenInfo", token)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def __repr__(self) -> str:
        return f"Credential({self._method})"

    def _translated(self, get: Callable[[], T]) -> T:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        # Without the cause: a failed login's response may contain a token or an assertion.
        try:
            return get()
        except ClientAuthenticationError as error:
            code = _ENTRA_CODE.search(str(error))
            named = f" ({code[0]})" if code else ""
            raise ProviderRefused(
                f"Azure identity: authentication.method {self._method} gave no token{named}; "
                f"{_HINTS[self._method]}",
                affects_all_requests=True,
            ) from None
        except AzureError:
            raise ProviderUnavailable(
                "Azure identity: the token endpoint of authentication.method "
                f"{self._method} cannot be reached"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            # The vendor's parser fails like this if a web page or a proxy answers.
            raise ProviderUnavailable(
                f"Azure identity: the response to authentication.method {self._method} has no token"
            ) from None


def credential_for(config: Authentication) -> TokenCredential:
    """The credential for `authentication.method`; no token is requested yet.

    Args:
        config: any method except `api_key`, which needs no credential.

    Raises:
        ConfigurationError: the method is `api_key`, azure-identity is not installed, or the
            environment's AZURE_ variables contradict each other.
    """
    if config.method == "api_key":
        raise ConfigurationError(
            "azure_config.yaml: authentication.method: found 'api_key', "
            "allowed: managed_identity, azure_cli or default, as there is no key"
        )
    try:
        import azure.identity as vendor
    except ImportError as error:
        raise not_installed(f"authentication.method {config.method}", "azure-identity") from error
    # Only the retry layer retries.
    options: dict[str, Any] = {
        "retry_total": 0,
        "transport": logging_transport(
            IDENTITY, connection_timeout=_TIMEOUT_SECONDS, read_timeout=_TIMEOUT_SECONDS
        ),
    }
    try:
        if config.method == "managed_identity":
            return Credential(
                config.method,
                vendor.ManagedIdentityCredential(
                    client_id=config.client_id, raw_response_hook=_stop_on_passing, **options
                ),
            )
        if config.method == "azure_cli":
            return Credential(
                config.method, vendor.AzureCliCredential(process_timeout=_TIMEOUT_SECONDS)
            )
        # An explicit None would hide AZURE_CLIENT_ID.
        client = {"managed_identity_client_id": config.client_id} if config.client_id else {}
        return Credential(config.method, vendor.DefaultAzureCredential(**options, **client))
    except ValueError:
        raise ConfigurationError(
            f"authentication.method {config.method}: the environment's AZURE_ variables "
            "(AZURE_TOKEN_CREDENTIALS, AZURE_CLIENT_ID, AZURE_TENANT_ID) contradict each other"
        ) from None


def token_provider(credential: TokenCredential, scope: str) -> Callable[[], str]:
    """A callable that returns a valid token, cached until shortly before it expires.

    Args:
        credential: from `credential_for`.
        scope: `COGNITIVE_SERVICES` or `SEARCH`.
    """
    from azure.identity import get_bearer_token_provider

    return get_bearer_token_provider(credential, scope)


def _stop_on_passing(response: PipelineResponse[Any, Any]) -> None:
    """End a token request on a temporary error, which the vendor reports as a missing identity."""
    answer = response.http_response
    if answer.status_code in _RETRIED or answer.status_code >= _SERVER_ERROR:
        raise ProviderUnavailable(
            f"Azure identity: the managed identity endpoint answered {answer.status_code}; "
            f"if this continues, {_HINTS['managed_identity']}",
            retry_after_seconds=retry_after(answer.headers),
        )
