"""Who Liftwright is to Azure: a credential by configuration, and tokens from it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

from liftwright.adapters.azure.errors import not_installed
from liftwright.adapters.azure.request_log import IDENTITY, recording_transport
from liftwright.adapters.retry_after import retry_after
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
# 410 is what a virtual machine's identity endpoint answers while it is being updated.
_PASSING = frozenset({408, 410, 425, 429})
_SERVER_FAULT = 500
_ENTRA_CODE = re.compile(r"\bAADSTS\d{4,8}\b")

_MEND = {
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
    """A credential of azure-identity whose errors are ours, and say how to mend them.

    Args:
        method: `authentication.method`.
        inner: the credential that is asked.
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
        """The same, as newer clients ask for it."""
        token = self._translated(lambda: self._inner.get_token_info(*scopes, options=options))
        return cast("AccessTokenInfo", token)

    def close(self) -> None:
        """Give back the connections."""
        self._inner.close()

    def __repr__(self) -> str:
        return f"Credential({self._method})"

    def _translated(self, ask: Callable[[], T]) -> T:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        # Without the cause: what a failed log-in answers may hold a token or an assertion.
        try:
            return ask()
        except ClientAuthenticationError as error:
            code = _ENTRA_CODE.search(str(error))
            told = f" ({code[0]})" if code else ""
            raise ProviderRefused(
                f"Azure identity: authentication.method {self._method} gave no token{told}; "
                f"{_MEND[self._method]}",
                affects_all_requests=True,
            ) from None
        except AzureError:
            raise ProviderUnavailable(
                f"Azure identity: who gives tokens to authentication.method {self._method} "
                "cannot be reached"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            # The vendor lets what a page or a proxy answers in place of a token pass through raw.
            raise ProviderUnavailable(
                f"Azure identity: the answer to authentication.method {self._method} is no token"
            ) from None


def credential_for(config: Authentication) -> TokenCredential:
    """The credential that `authentication.method` names; it asks for nothing yet.

    Args:
        config: any method but `api_key`, which needs no credential.

    Raises:
        ConfigurationError: for `api_key`, without azure-identity, or where the environment's
            AZURE_ variables contradict each other.
    """
    if config.method == "api_key":
        raise ConfigurationError(
            "azure_config.yaml: authentication.method: found 'api_key', "
            "allowed: managed_identity, azure_cli or default, where there is no key to use"
        )
    try:
        import azure.identity as vendor
    except ImportError as error:
        raise not_installed(f"authentication.method {config.method}", "azure-identity") from error
    # Asking again is the business of one layer alone, and that is not this one.
    options: dict[str, Any] = {
        "retry_total": 0,
        "transport": recording_transport(
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
        own = {"managed_identity_client_id": config.client_id} if config.client_id else {}
        return Credential(config.method, vendor.DefaultAzureCredential(**options, **own))
    except ValueError:
        raise ConfigurationError(
            f"authentication.method {config.method}: the environment's AZURE_ variables "
            "(AZURE_TOKEN_CREDENTIALS, AZURE_CLIENT_ID, AZURE_TENANT_ID) do not fit together"
        ) from None


def token_provider(credential: TokenCredential, scope: str) -> Callable[[], str]:
    """Gives a valid token whenever it is called; remembers it until shortly before it expires.

    Args:
        credential: from `credential_for`.
        scope: `COGNITIVE_SERVICES` or `SEARCH`.
    """
    from azure.identity import get_bearer_token_provider

    return get_bearer_token_provider(credential, scope)


def _stop_on_passing(response: PipelineResponse[Any, Any]) -> None:
    """End a token request on a passing fault; the vendor would call it a lack of identity."""
    answer = response.http_response
    if answer.status_code in _PASSING or answer.status_code >= _SERVER_FAULT:
        raise ProviderUnavailable(
            f"Azure identity: the managed identity endpoint answered {answer.status_code}; "
            f"if it lasts, {_MEND['managed_identity']}",
            retry_after_seconds=retry_after(answer.headers),
        )
