"""Authentication with Azure: the configured credential, and its tokens."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from liftwright.adapters.azure.errors import not_installed
from liftwright.adapters.azure.request_log import IDENTITY, logging_transport
from liftwright.adapters.http_errors import connection_error, retry_after
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from azure.core.credentials import (
        AccessToken,
        AccessTokenInfo,
        TokenCredential,
        TokenRequestOptions,
    )
    from azure.core.pipeline.transport import RequestsTransport

    from liftwright.config import Authentication

T = TypeVar("T")

COGNITIVE_SERVICES = "https://cognitiveservices.azure.com/.default"
SEARCH = "https://search.azure.com/.default"
KEY_VAULT = "https://vault.azure.net/.default"

_TIMEOUT_SECONDS = 10
_SERVICE = "Azure identity: the token endpoint"
# The identity endpoint of a virtual machine; it answers 410 while it is being updated.
_MACHINE = "169.254.169.254"
_RETRIED = frozenset({408, 410, 425, 429})
_SERVER_ERROR = 500
# What azure-identity reads from the environment, and we from .env as well.
VARIABLES = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS",
)
_ENVIRONMENT = threading.Lock()
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
        make: makes the wrapped credential. It is made again after a temporary fault, which the
            vendor would repeat from a cache for some seconds.
        faults: what the wrapped credential's transport records.
    """

    def __init__(
        self,
        method: str,
        make: Callable[[], Any],
        faults: _Faults,
    ) -> None:
        self._method, self._make, self._faults = method, make, faults
        self._inner = make()

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

        self._faults.last = None
        # Without the cause: a failed login's response may contain a token or an assertion.
        try:
            return get()
        except (AzureError, ValueError, TypeError, KeyError, AttributeError) as error:
            code = _ENTRA_CODE.search(str(error))
            fault: ProviderError | None = self._faults.last  # set by the transport
            is_refused = isinstance(error, ClientAuthenticationError)
        method, hint = self._method, _HINTS[self._method]
        if fault is not None:
            # The vendor reports a temporary fault as a refusal or a missing identity.
            self._inner = self._make()
            if isinstance(fault, ProviderUnavailable):
                fault.args = (f"{fault}; if this continues, {hint}",)
            raise fault
        if is_refused:
            named = f" ({code[0]})" if code else ""
            raise ProviderRefused(
                f"Azure identity: authentication.method {method} gave no token{named}; {hint}",
                affects_all_requests=True,
            )
        # The vendor's parser fails if a web page or a proxy answers.
        raise ProviderUnavailable(
            f"Azure identity: the response to authentication.method {method} has no token"
        )


def credential_for(
    config: Authentication, variables: Mapping[str, str] | None = None
) -> TokenCredential:
    """The credential for `authentication.method`; no token is requested yet.

    Args:
        config: any method except `api_key`, which needs no credential.
        variables: the environment and .env, for the method `default`.

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
    faults = _Faults()

    def make() -> Any:  # noqa: ANN401 - one of three classes
        transport = logging_transport(
            IDENTITY, connection_timeout=_TIMEOUT_SECONDS, read_timeout=_TIMEOUT_SECONDS
        )
        # Only the retry layer retries.
        options: dict[str, Any] = {"retry_total": 0, "transport": faults.recorded_by(transport)}
        if config.method == "managed_identity":
            return vendor.ManagedIdentityCredential(client_id=config.client_id, **options)
        if config.method == "azure_cli":
            return vendor.AzureCliCredential(process_timeout=_TIMEOUT_SECONDS)
        # An explicit None would hide AZURE_CLIENT_ID.
        client = {"managed_identity_client_id": config.client_id} if config.client_id else {}
        with _in_environment(variables or {}):
            return vendor.DefaultAzureCredential(**options, **client)

    try:
        return Credential(config.method, make, faults)
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


class _Faults(threading.local):
    """The last temporary fault of a token endpoint, by thread: the vendor tells no such fault."""

    last: ProviderError | None = None

    def recorded_by(self, transport: RequestsTransport) -> RequestsTransport:
        """The transport, which then records the faults of its requests."""
        from azure.core.exceptions import AzureError

        send = transport.send

        def recording(request: Any, **options: Any) -> Any:  # noqa: ANN401 - the vendor's two forms
            try:
                response = send(request, **options)
            except AzureError as error:
                # A machine outside Azure has no such endpoint.
                if urlsplit(request.url).hostname != _MACHINE:
                    self.last = connection_error(_SERVICE, error)
                raise
            status, page = response.status_code, response.headers.get("content-type", "")
            if status in _RETRIED or status >= _SERVER_ERROR:
                self.last = ProviderUnavailable(
                    f"{_SERVICE} answered {status}",
                    retry_after_seconds=retry_after(response.headers),
                )
            elif page.startswith("text/html"):
                self.last = ProviderUnavailable(f"{_SERVICE} answered {status} with a web page")
            return response

        transport.send = recording
        return transport


@contextlib.contextmanager
def _in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within the block, the variables of .env are in the environment, where the vendor looks."""
    with _ENVIRONMENT:
        missing = [name for name in VARIABLES if name in variables and name not in os.environ]
        os.environ.update({name: variables[name] for name in missing})
        try:
            yield
        finally:
            for name in missing:
                del os.environ[name]
