"""The client of a Content Safety resource, and the splitting of texts to its limit.

The vendor's client authenticates and sends. The response is read here, so that the time-out covers
all of it, and parsed here, as the vendor's models accept malformed responses.
"""

from __future__ import annotations

import json
import re
import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from liftwright.adapters.azure.errors import (
    https_address,
    not_installed,
    timeout_error,
    transport_error,
)
from liftwright.adapters.azure.request_log import logging_transport
from liftwright.adapters.http_errors import status_error
from liftwright.errors import ConfigurationError, ProviderUnavailable
from liftwright.model import Identity
from liftwright.text import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from azure.ai.contentsafety import ContentSafetyClient
    from azure.core.credentials import TokenCredential
    from azure.core.rest import HttpResponse

    from liftwright.adapters.azure import AzureContentSafety

__all__ = ["NAME", "ContentSafetyService", "pieces"]

NAME = "Content Safety"

_OK = 200
_KEY = re.compile(r"[!-~]+")
# Longer than any blocklist item, so that an item at a cut is complete in the next piece.
_OVERLAP = 200


class ContentSafetyService:
    """A Content Safety resource; a call makes one attempt, with a time-out."""

    def __init__(
        self,
        config: AzureContentSafety,
        api_key: str | None,
        credential: TokenCredential | None,
        timeout_seconds: float,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        endpoint = https_address("azure_content_safety.endpoint", config.endpoint)
        self.host = urlsplit(endpoint).netloc.lower()
        self._hints = _hints_by_status(config)
        self._client = _open_client(endpoint, api_key, credential, timeout_seconds)

    def identity(self, version: str) -> Identity:
        """The identity of an operation; `version` names it and its options."""
        return Identity(provider="azure_content_safety", model=self.host, version=version)

    def post(self, route: str, api_version: str, body: Mapping[str, object]) -> dict[str, object]:
        """Send a request and return the response's JSON object.

        Raises:
            ProviderUnavailable: time-out, overload, lost connection or malformed response.
            ProviderRefused: credentials or a bad request.
        """
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        request = HttpRequest("POST", route, params={"api-version": api_version}, json=body)
        # The time-out starts when the request is sent; getting a token has its own limit.
        sent: list[float] = []
        try:
            with self._client.send_request(
                request, stream=True, raw_request_hook=lambda _: sent.append(time.monotonic())
            ) as response:
                raw = self._read(response, sent[-1] + self._timeout_seconds)
        except AzureError as error:
            # Without the cause: the vendor's errors may repeat the key or the text.
            raise transport_error(NAME, error, self._timeout_seconds) from None
        answer = _parsed(raw)
        if response.status_code != _OK:
            raise status_error(
                NAME,
                response.status_code,
                response.headers,
                code=_code_of(answer),
                hints=self._hints,
            )
        if answer is None:
            raise ProviderUnavailable(f"{NAME}'s response is not a JSON object")
        return answer

    def _read(self, response: HttpResponse, deadline: float) -> bytes:
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        # Read as it arrives: a slow trickle of bytes never triggers a read time-out, and the
        # vendor's iterator waits for whole blocks, or takes milliseconds of CPU with single bytes.
        raw: Any = getattr(response, "internal_response").raw  # noqa: B009 - of the requests transport
        parts = []
        try:
            while part := raw.read1(decode_content=True):
                parts.append(part)
                if time.monotonic() > deadline:
                    raise timeout_error(NAME, self._timeout_seconds)
        except ReadTimeoutError:
            raise timeout_error(NAME, self._timeout_seconds) from None
        except (HTTPError, OSError):
            raise ProviderUnavailable(f"{NAME}'s response was cut off") from None
        return b"".join(parts)


def _hints_by_status(config: AzureContentSafety) -> Mapping[int, str]:
    """What a person can do, by the status of the response."""
    return {
        401: "the key or token is not this resource's: see authentication.method and the secret "
        f"{config.api_key_secret}",
        403: "give the identity the role Cognitive Services User, and allow this network; a free "
        "resource may have used up its monthly quota",
        404: "check azure_content_safety.endpoint, api_version and blocklists, and the region",
        410: "this version has been retired: change azure_content_safety.api_version",
    }


def _open_client(
    endpoint: str, api_key: str | None, credential: TokenCredential | None, timeout_seconds: float
) -> ContentSafetyClient:
    try:
        from azure.ai.contentsafety import ContentSafetyClient
        from azure.core.credentials import AzureKeyCredential
    except ImportError as error:
        raise not_installed("adapters.screen", "azure-ai-contentsafety") from error
    either: AzureKeyCredential | TokenCredential | None = credential
    if api_key is not None:
        # A newline copied with the key would cause an error message that shows the key.
        if not _KEY.fullmatch(api_key):
            raise ConfigurationError(
                f"azure_config.yaml: azure_content_safety.api_key_secret: found {len(api_key)} "
                "characters, some of which no key has; allowed: letters, digits and signs"
            )
        either = AzureKeyCredential(api_key) if credential is None else None
    if either is None:
        raise ConfigurationError(
            "azure_config.yaml: azure_content_safety: found both or none of key and identity; "
            "allowed: a key if authentication.method is api_key, or else an identity"
        )
    return ContentSafetyClient(
        endpoint,
        either,
        retry_total=0,
        # A redirect would send the key to another host.
        permit_redirects=False,
        transport=logging_transport(
            "content_safety",
            connection_timeout=timeout_seconds,
            read_timeout=timeout_seconds,
        ),
    )


def _parsed(raw: bytes) -> dict[str, object] | None:
    """The response's JSON object; None if it is not one."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _code_of(answer: Mapping[str, object] | None) -> object:
    error = (answer or {}).get("error")
    return error.get("code") if isinstance(error, dict) else None


def pieces(text: str, most: int) -> Iterator[tuple[int, int]]:
    """Split a text into non-blank spans of at most `most` code points, at the ends of sentences.

    A span that has to be cut inside a sentence ends at white space if possible, and the next span
    overlaps it.
    """
    ends = [span.end for span in sentences(text)] if len(text) > most else []
    start = 0
    while start < len(text):
        end, following = _cut(text, start, most, ends)
        if text[start:end].strip():
            yield start, end
        start = following


def _cut(text: str, start: int, most: int, ends: Sequence[int]) -> tuple[int, int]:
    """The end of the piece that begins at `start`, and the start of the next one."""
    furthest, least = start + most, start + most // 2
    if furthest >= len(text):
        return len(text), len(text)
    before = bisect_right(ends, furthest)
    if before and ends[before - 1] > least:
        return ends[before - 1], ends[before - 1]
    space = text.rfind(" ", least, furthest)
    end = space if space > 0 else furthest
    return end, end - _OVERLAP
