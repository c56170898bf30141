"""Talking to Azure AI Search: the vendor's clients, opened late, and their errors in our words."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from liftwright.adapters.azure.errors import (
    https_address,
    not_installed,
    status_fault,
    transport_fault,
)
from liftwright.adapters.azure.request_log import recording_transport
from liftwright.adapters.azure.search_fields import FORMAT
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
    "needed_embedder",
    "search_identity",
    "status_of",
]

PROVIDER = "azure_search"
PRINT_HEX = 12

# The first version whose service knows aliases without being a preview.
FIRST_WITH_ALIASES = "2026-04-01"
_NO_FAULT = 300


class SearchService:
    """A search service as configured; clients are made when they are first asked for.

    Args:
        config: where the service is.
        api_key: its key; None where a credential is given.
        credential: who we are to Microsoft Entra ID; None where a key is given.
        timeout_seconds: how long it may take to connect, and how long it may stay silent.

    Raises:
        ConfigurationError: where the address is not https, the key cannot be one, or there is
            neither key nor credential.
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
                f"{config.api_key_secret} is not set, or is no key; allowed: letters, digits and "
                "signs without a space, or another authentication.method"
            )
        self._config = config
        self._mend = _mend_by_status(config)
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
        found: SearchIndexClient = self._client("")
        return found

    def documents(self, index: str) -> SearchClient:
        """The client for one index's documents."""
        found: SearchClient = self._client(index)
        return found

    @property
    def has_aliases(self) -> bool:
        """Whether the version of the service that is spoken to knows aliases."""
        version = self._config.api_version or FIRST_WITH_ALIASES
        return version.endswith("-preview") or version >= FIRST_WITH_ALIASES

    def alias(self, name: str) -> str:
        """The index that an alias leads to."""
        return self._aliased("GET", name)

    def move_alias(self, name: str, index: str) -> str:
        """Let an alias lead to an index, and give where it leads then."""
        return self._aliased("PUT", name, {"name": name, "indexes": [index]})

    def _aliased(self, method: str, name: str, body: Mapping[str, object] | None = None) -> str:
        from azure.core.rest import HttpRequest

        # Plainly, as the older packages have no methods for aliases.
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
    def asking(self, what: str) -> Iterator[None]:
        """Within the block, the vendor's errors become ours.

        Args:
            what: what is asked, in the words of the message: "upload".

        Raises:
            ConfigurationError: where the vendor's package is not installed.
            ProviderUnavailable: on a time-out, an overload, a lost connection, a broken answer.
            ProviderRefused: on all else that the service does not do.
        """
        try:
            from azure.core.exceptions import AzureError, HttpResponseError
        except ImportError as error:
            raise not_installed("azure_search", "azure-search-documents") from error
        name = f"Azure AI Search ({what})"
        # Without the cause: what the vendor's errors carry may repeat the key or the text.
        try:
            yield
        except HttpResponseError as error:
            status = error.status_code
            if status is None or error.response is None:
                raise transport_fault(name, error, self._timeout_seconds) from None
            if status < _NO_FAULT:
                raise ProviderUnavailable(f"{name}: the answer is malformed") from None
            headers: Mapping[str, str] = getattr(error.response, "headers", {})
            raise status_fault(name, status, headers, mend=self._mend) from None
        except AzureError as error:
            raise transport_fault(name, error, self._timeout_seconds) from None
        except (AttributeError, AssertionError, KeyError, TypeError, ValueError):
            # What the vendor's package comes to where the answer is JSON of another shape.
            raise ProviderUnavailable(f"{name}: the answer is malformed") from None

    def _client(self, index: str) -> Any:  # noqa: ANN401 - one of two vendors' types, see above
        with self._lock:
            if index not in self._clients:
                self._clients[index] = self._opened(index)
            return self._clients[index]

    def _opened(self, index: str) -> SearchClient | SearchIndexClient:
        try:
            from azure.core.credentials import AzureKeyCredential
            from azure.search.documents import SearchClient
            from azure.search.documents.indexes import SearchIndexClient
        except ImportError as error:
            raise not_installed("azure_search", "azure-search-documents") from error
        credential = self._credential or AzureKeyCredential(self._api_key or "")
        # Retries are the retry layer's; its waits and counts must be the only ones.
        options: dict[str, Any] = {
            "retry_total": 0,
            "transport": recording_transport(
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


def _mend_by_status(config: AzureSearch) -> Mapping[int, str]:
    """What a person can do, by the status of the answer."""
    return {
        400: "its tier may have no semantic ranker (set azure_search.semantic_configuration to "
        "null) or hold no further index (liftwright index --remove-old)",
        401: "the key or token is not this service's: see authentication.method and the secret "
        f"{config.api_key_secret}",
        403: "give the identity the roles Search Service Contributor and Search Index Data "
        "Contributor, or use an admin key; see whether the service takes keys, roles and this "
        "network",
        404: "it is not there; make it with liftwright index, or see azure_search.endpoint",
        410: "this version has been retired: change azure_search.api_version",
    }


def needed_embedder(config: AzureSearch, embed: Embed | None) -> Embed | None:
    """The embedder, where the configuration wants vectors.

    Raises:
        ConfigurationError: where it wants them and there is none.
    """
    if config.vectors and embed is None:
        raise ConfigurationError(
            "config/azure_config.yaml: azure_search.vectors: found true, allowed: false, as there "
            "is no embedder"
        )
    return embed if config.vectors else None


def search_identity(config: AzureSearch, embed: Embed | None, corpus: str) -> Identity:
    """What changes what is found; never the key or the patience."""
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
    """The HTTP status that an error of `asking` came from; 0 where it came from none."""
    status = getattr(error.__context__, "status_code", None)
    return status if isinstance(status, int) else 0


def _is_key(text: str | None) -> bool:
    # A header cannot hold anything else, and the error for that would repeat the key.
    return text is not None and text.isascii() and text.isprintable() and text.split() == [text]
