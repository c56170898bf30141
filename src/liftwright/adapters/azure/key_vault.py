"""Secrets from Azure Key Vault, or from the environment if the vault lacks one."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING

from liftwright.adapters.azure.errors import https_address, not_installed, transport_error
from liftwright.adapters.azure.request_log import logging_transport
from liftwright.adapters.http_errors import status_error
from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.credentials import TokenCredential

    from liftwright.adapters.azure import KeyVault

_AGENT = "azure_key_vault"
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_OK, _ABSENT = 200, "SecretNotFound"
_HINTS = {
    401: "the vault rejects this identity's tokens; check authentication and the tenant",
    403: (
        "give the identity the role `Key Vault Secrets User`, allow this network, "
        "and check that the secret is enabled"
    ),
    404: "there is no vault at key_vault.url",
}


class KeyVaultSecrets:
    """The port `secrets`; `AZURE_SEARCH_API_KEY` is `AZURE-SEARCH-API-KEY` in the vault.

    Each secret is requested once and cached in memory. The environment replaces a secret that the
    vault lacks, never a vault that cannot be reached: that is an error.

    Args:
        config: the vault's address.
        credential: the identity.
        fallback: the environment and .env.
        verify_challenge_resource: whether the vault must name its own domain before it receives a
            token; only a vault under a custom domain needs False.
        timeout_seconds: the time-out of one attempt.

    Raises:
        ConfigurationError: the package is not installed or the address is not https.
    """

    def __init__(
        self,
        config: KeyVault,
        credential: TokenCredential,
        fallback: Mapping[str, str],
        *,
        verify_challenge_resource: bool = True,
        timeout_seconds: float = 10.0,
    ) -> None:
        self._url = https_address("key_vault.url", config.url)
        self._fallback = fallback
        self._timeout_seconds = timeout_seconds
        self._known: dict[str, str | None] = {}
        self._lock = threading.Lock()
        try:
            from azure.keyvault.secrets import SecretClient
        except ImportError as error:
            raise not_installed("adapters.secrets key_vault", "azure-keyvault-secrets") from error
        self._client = SecretClient(
            self._url,
            credential,
            verify_challenge_resource=verify_challenge_resource,
            retry_total=0,
            permit_redirects=False,
            transport=logging_transport(
                "key_vault", connection_timeout=timeout_seconds, read_timeout=timeout_seconds
            ),
        )

    def __call__(self, name: str, /) -> str | None:
        """The secret's value; None if neither the vault nor the environment has one.

        Raises:
            ProviderRefused: this identity may not read the secret.
            ProviderUnavailable: the vault is temporarily unavailable.
        """
        with self._lock:
            if name not in self._known:
                self._known[name] = self._look_up(name)
            return self._known[name]

    def __repr__(self) -> str:
        return f"KeyVaultSecrets({self._url}, {len(self._known)} read)"

    def _look_up(self, name: str) -> str | None:
        vault_name = name.replace("_", "-")
        value = self._get(vault_name) if _NAME.fullmatch(vault_name) else None
        if not value:
            event("secret_not_in_vault", agent=_AGENT, secret_name=name)
            value = self._fallback.get(name)
        return value or None

    def _get(self, name: str) -> str | None:
        """The vault's value; None if it has no such secret."""
        from azure.core.exceptions import AzureError, HttpResponseError

        # Without the cause: the vendor's errors may contain the response, and so the secret.
        try:
            value = self._client.get_secret(name).value
        except HttpResponseError as error:
            status, code = error.status_code, getattr(error.error, "code", None)
            headers = getattr(error.response, "headers", {})
            if status is None or status == _OK:
                raise self._broken() from None
            if code == _ABSENT:
                return None
            raise status_error("Key Vault", status, headers, code=code, hints=_HINTS) from None
        except AzureError as error:
            raise transport_error("Key Vault", error, self._timeout_seconds) from None
        except (json.JSONDecodeError, AttributeError, TypeError, KeyError):
            raise self._broken() from None
        except ValueError:
            raise ProviderRefused(
                "Key Vault: the server at key_vault.url asked for a token for another domain; no "
                "token was sent"
            ) from None
        if value is None:
            raise self._broken()
        return value

    @staticmethod
    def _broken() -> ProviderUnavailable:
        return ProviderUnavailable("Key Vault's response contains no secret")
