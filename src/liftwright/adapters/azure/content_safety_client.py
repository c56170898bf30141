"""A Content Safety resource over the wire, and texts in pieces that it takes.

The vendor's client finds the address, shows who is asking and sends; the answer is read here, byte
by byte, so that it is bounded in time as a whole and judged by what it says rather than by what a
lenient model makes of it.
"""

from __future__ import annotations

import json
import re
import time
from bisect import bisect_right
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright.adapters.azure.errors import (
    https_address,
    not_installed,
    status_fault,
    timed_out,
    transport_fault,
)
from liftwright.adapters.azure.request_log import recording_transport
from liftwright.errors import ConfigurationError, ProviderUnavailable
from liftwright.model import Identity
from liftwright.text import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from azure.ai.contentsafety import ContentSafetyClient
    from azure.core.credentials import TokenCredential
    from azure.core.rest import HttpResponse

    from liftwright.adapters.azure import AzureContentSafety

__all__ = ["NAME", "Service", "pieces"]

NAME = "Content Safety"

_OK = 200
_KEY = re.compile(r"[!-~]+")
# Longer than a blocklist item can be: one that a cut within a sentence parts is whole after it.
_OVERLAP = 200


class Service:
    """One Content Safety resource; one attempt per call, bounded in time."""

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
        self._mend = _mend_by_status(config)
        self._client = _open_client(endpoint, api_key, credential, timeout_seconds)

    def identity(self, version: str) -> Identity:
        """What is asked here: the resource, and in `version` the operation and its options."""
        return Identity(provider="azure_content_safety", model=self.host, version=version)

    def post(self, route: str, api_version: str, body: Mapping[str, object]) -> dict[str, object]:
        """The answer's JSON object.

        Raises:
            ProviderUnavailable: on a time-out, an overload, a lost connection or a broken answer.
            ProviderRefused: on credentials or a bad request.
        """
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        request = HttpRequest("POST", route, params={"api-version": api_version}, json=body)
        # The time counts from when it is sent: getting a token comes before, and has its own limit.
        sent: list[float] = []
        try:
            with self._client.send_request(
                request, stream=True, raw_request_hook=lambda _: sent.append(time.monotonic())
            ) as response:
                raw = self._read(response, sent[-1] + self._timeout_seconds)
        except AzureError as error:
            # Without the cause: what the vendor's errors carry may repeat the key or the text.
            raise transport_fault(NAME, error, self._timeout_seconds) from None
        answer = _parsed(raw)
        if response.status_code != _OK:
            raise status_fault(
                NAME, response.status_code, response.headers, code=_code_of(answer), mend=self._mend
            )
        if answer is None:
            raise ProviderUnavailable(f"{NAME}'s answer is not a JSON object")
        return answer

    def _read(self, response: HttpResponse, deadline: float) -> bytes:
        parts = []
        for part in response.iter_bytes():
            parts.append(part)
            if time.monotonic() > deadline:
                raise timed_out(NAME, self._timeout_seconds)
        return b"".join(parts)


def _mend_by_status(config: AzureContentSafety) -> Mapping[int, str]:
    """What a person can do, by the status of the answer."""
    return {
        401: "the key or token is not this resource's: see authentication.method and the secret "
        f"{config.api_key_secret}",
        403: "give the identity the role Cognitive Services User, and let this network in; a free "
        "resource may have spent its month",
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
    who: AzureKeyCredential | TokenCredential | None = credential
    if api_key is not None:
        # A line feed that was copied with a key would fail in a message that shows the key.
        if not _KEY.fullmatch(api_key):
            raise ConfigurationError(
                f"azure_config.yaml: azure_content_safety.api_key_secret: found {len(api_key)} "
                "characters, some of which no key has; allowed: letters, digits and signs"
            )
        who = AzureKeyCredential(api_key) if credential is None else None
    if who is None:
        raise ConfigurationError(
            "azure_config.yaml: azure_content_safety: found both or none of key and identity; "
            "allowed: a key where authentication.method is api_key, an identity elsewhere"
        )
    return ContentSafetyClient(
        endpoint,
        who,
        retry_total=0,
        # Another host would be sent the key too.
        permit_redirects=False,
        transport=recording_transport(
            "content_safety",
            connection_timeout=timeout_seconds,
            read_timeout=timeout_seconds,
            # A larger block would be waited for, though each byte of it comes in time.
            connection_data_block_size=1,
        ),
    )


def _parsed(raw: bytes) -> dict[str, object] | None:
    """The answer's JSON object; None where it is none."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _code_of(answer: Mapping[str, object] | None) -> object:
    error = (answer or {}).get("error")
    return error.get("code") if isinstance(error, dict) else None


# ── The text ──────────────────────────────────────────────────────────────────────────────────


def pieces(text: str, most: int) -> Iterator[tuple[int, int]]:
    """Spans of at most so many code points, none blank, cut where a sentence ends if one does.

    A cut within a sentence is at white space if there is any, and what comes before it is looked
    at again with what follows.
    """
    ends = [span.end for span in sentences(text)] if len(text) > most else []
    start = 0
    while start < len(text):
        end, following = _cut(text, start, most, ends)
        if text[start:end].strip():
            yield start, end
        start = following


def _cut(text: str, start: int, most: int, ends: Sequence[int]) -> tuple[int, int]:
    """Where the piece that begins at `start` ends, and where the next one begins."""
    furthest, least = start + most, start + most // 2
    if furthest >= len(text):
        return len(text), len(text)
    before = bisect_right(ends, furthest)
    if before and ends[before - 1] > least:
        return ends[before - 1], ends[before - 1]
    space = text.rfind(" ", least, furthest)
    end = space if space > 0 else furthest
    return end, end - _OVERLAP
