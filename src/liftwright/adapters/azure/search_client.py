"""The clients of Azure AI Search, created when needed, with their errors translated."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from liftwright.adapters.azure.errors import https_address, not_installed, transport_error
from liftwright.adapters.azure.request_log import logging_transport
from liftwright.adapters.azure.search_fields import FORMAT
from liftwright.adapters.http_errors import status_error
from liftwright.errors import ConfigurationError, ProviderUnavailable
from liftwright.model import Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from azure.core.credentials import TokenCredential
    from azure.search.documents import SearchClient
    from azure.search.documents.indexes import SearchIndexClient

    from liftwright.adapters.azure import AzureSearch
    from liftwright.ports import Embed

__all__ = [
    "PRINT_HEX",
    "PROVIDER",
    "SearchService",
    "embedder_for",
    "search_identity",
    "status_of",
]

PROVIDER = "azure_search"
PRINT_HEX = 12

# The first version that supports aliases and is not a preview.
FIRST_WITH_ALIASES = "2026-04-01"
_FIRST_ERROR = 300


class SearchService:
    """The configured search service; its clients are created at first use.

    Args:
        config: the service.
        api_key: its key; None if a credential is given.
        credential: a credential of Microsoft Entra ID; None if a key is given.
        timeout_seconds: the time-out to connect, and to wait for data.

    Raises:
        ConfigurationError: the address is not https, the key is malformed, or there is neither key
            nor credential.
    """

    def __init__(
        self,
        config: AzureSearch,
        *,
        api_key: str | None,
        credential: TokenCredential | None,
        timeout_seconds: float,
    ) -> None:
        self._endpoint = https_address("azure_search.endpoint", config.endpoint)
        if credential is None and not _is_key(api_key):
            raise ConfigurationError(
                f"config/azure_config.yaml: azure_search.api_key_secret: the secret "
                f"{config.api_key_secret} is not set, or is not a key; allowed: letters, digits "
                "and signs without a space, or another authentication.method"
            )
        self._config = config
        self._hints = _hints_by_status(config)
        self._api_key, self._credential = api_key, credential
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def __repr__(self) -> str:
        """The address; a key never shows."""
        return f"SearchService({self._endpoint!r})"

    @property
    def indexes(self) -> SearchIndexClient:
        """The client for indexes and aliases."""
        client: SearchIndexClient = self._client("")
        return client

    def documents(self, index: str) -> SearchClient:
        """The client for one index's documents."""
        client: SearchClient = self._client(index)
        return client

    @property
    def has_aliases(self) -> bool:
        """Whether the configured version of the service supports aliases."""
        version = self._config.api_version or FIRST_WITH_ALIASES
        return version.endswith("-preview") or version >= FIRST_WITH_ALIASES

    def alias(self, name: str) -> str:
        """The index that an alias points to."""
        return self._request_alias("GET", name)

    def move_alias(self, name: str, index: str) -> str:
        """Point an alias to an index; returns the index that it points to then."""
        return self._request_alias("PUT", name, {"name": name, "indexes": [index]})

    def _request_alias(
        self, method: str, name: str, body: Mapping[str, object] | None = None
    ) -> str:
        from azure.core.rest import HttpRequest

        # Without the vendor's methods, as older packages have none for aliases.
        request = HttpRequest(
            method,
            f"{self._endpoint}/aliases('{name}')",
            params={"api-version": self._config.api_version or FIRST_WITH_ALIASES},
            headers={"Accept": "application/json", "Prefer": "return=representation"},
            json=body,
        )
        answer = self.indexes.send_request(request)
        answer.raise_for_status()
        (index,) = answer.json()["indexes"]
        return str(index)

    @contextlib.contextmanager
    def translated_errors(self, operation: str) -> Iterator[None]:
        """Within the block, the vendor's errors become ours.

        Args:
            operation: its name in messages, such as "upload".

        Raises:
            ConfigurationError: the vendor's package is not installed.
            ProviderUnavailable: time-out, overload, lost connection or malformed response.
            ProviderRefused: any other error of the service.
        """
        try:
            from azure.core.exceptions import AzureError, HttpResponseError
        except ImportError as error:
            raise not_installed("azure_search", "azure-search-documents") from error
        name = f"Azure AI Search ({operation})"
        # Without the cause: the vendor's errors may repeat the key or the text.
        try:
            yield
        except HttpResponseError as error:
            status = error.status_code
            if status is None or error.response is None:
                raise transport_error(name, error, self._timeout_seconds) from None
            if status < _FIRST_ERROR:
                raise ProviderUnavailable(f"{name}: the response is malformed") from None
            headers: Mapping[str, str] = getattr(error.response, "headers", {})
            raise status_error(name, status, headers, hints=self._hints) from None
        except AzureError as error:
            raise transport_error(name, error, self._timeout_seconds) from None
        except (AttributeError, AssertionError, KeyError, TypeError, ValueError):
            # The vendor's package fails like this on JSON of another shape.
            raise ProviderUnavailable(f"{name}: the response is malformed") from None

    def _client(self, index: str) -> Any:  # noqa: ANN401 - one of two vendors' types, see above
        with self._lock:
            if index not in self._clients:
                self._clients[index] = self._open(index)
            return self._clients[index]

    def _open(self, index: str) -> SearchClient | SearchIndexClient:
        try:
            from azure.core.credentials import AzureKeyCredential
            from azure.search.documents import SearchClient
            from azure.search.documents.indexes import SearchIndexClient
        except ImportError as error:
            raise not_installed("azure_search", "azure-search-documents") from error
        credential = self._credential or AzureKeyCredential(self._api_key or "")
        # Only the retry layer retries.
        options: dict[str, Any] = {
            "retry_total": 0,
            "transport": logging_transport(
                "search",
                connection_timeout=self._timeout_seconds,
                read_timeout=self._timeout_seconds,
            ),
        }
        if self._config.api_version:
            options["api_version"] = self._config.api_version
        if index:
            return SearchClient(self._endpoint, index, credential, **options)
        return SearchIndexClient(self._endpoint, credential, **options)


def _hints_by_status(config: AzureSearch) -> Mapping[int, str]:
    """What a person can do, by the status of the response."""
    return {
        400: "its tier may have no semantic ranker (set azure_search.semantic_configuration to "
        "null) or no room for another index (liftwright index --remove-old), or the embedding "
        "deployment has another model than the index (change azure_openai.embedding_model)",
        401: "the key or token is not this service's: see authentication.method and the secret "
        f"{config.api_key_secret}",
        403: "give the identity the roles Search Service Contributor and Search Index Data "
        "Contributor, or use an admin key; check that the service allows keys, roles and this "
        "network",
        404: "it does not exist; create it with liftwright index, or check azure_search.endpoint",
        410: "this version has been retired: change azure_search.api_version",
    }


def embedder_for(config: AzureSearch, embed: Embed | None) -> Embed | None:
    """The embedder, if vectors are configured.

    Raises:
        ConfigurationError: they are, but there is no embedder.
    """
    if config.vectors and embed is None:
        raise ConfigurationError(
            "config/azure_config.yaml: azure_search.vectors: found true, allowed: false, as there "
            "is no embedder"
        )
    return embed if config.vectors else None


def search_identity(config: AzureSearch, embed: Embed | None, corpus: str) -> Identity:
    """Everything that changes search results, so neither the key nor the time-out."""
    ranker = "semantic" if config.semantic_configuration else "bm25"
    return Identity(
        provider=PROVIDER,
        model=f"{ranker}+{embed.identity.model}" if embed else ranker,
        version=fingerprint(
            FORMAT,
            config.endpoint.strip().rstrip("/"),
            config.api_version,
            config.index,
            config.semantic_configuration,
            embed.identity if embed else None,
        )[:PRINT_HEX],
        corpus=corpus,
    )


def status_of(error: BaseException) -> int:
    """The HTTP status behind an error of `translated_errors`; 0 if there is none."""
    status = getattr(error.__context__, "status_code", None)
    return status if isinstance(status, int) else 0


def _is_key(text: str | None) -> bool:
    # A header cannot contain anything else, and the error for that would repeat the key.
    return text is not None and text.isascii() and text.isprintable() and text.split() == [text]
