"""One event for each HTTP request to Azure: what was asked of whom, and what came of it.

A request is told by its route, the SHA-256 of its body and its size, never by its text; the
address is told without its parameters. What asks for tokens is told without the hash: such a body
may hold a secret. The time is that until the head of the answer is there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openai
    from azure.core.pipeline.transport import RequestsTransport

__all__ = ["IDENTITY", "openai_http_client", "recording", "recording_transport"]

IDENTITY = "identity"

_AGENT = "azure"
_FIRST_ERROR = 400


class Sent:
    """A request under way.

    Attributes:
        status: of its answer; None until there is one.
    """

    def __init__(self) -> None:
        self.status: int | None = None


@contextlib.contextmanager
def recording(service: str, method: str, url: str, body: object) -> Iterator[Sent]:
    """Within the block, one request is sent; an event says how that went.

    Args:
        service: openai, search, content_safety, key_vault or identity.
        method: of the request.
        url: of the request.
        body: text or bytes as they are sent; anything else is told without hash and size.
    """
    sent, error = Sent(), ""
    started = time.perf_counter()
    try:
        yield sent
    except BaseException as fault:
        # The type alone: what the vendors' errors say may repeat the request.
        error = type(fault).__name__
        raise
    finally:
        parts = urlsplit(url)
        raw = body.encode() if isinstance(body, str) else body
        content = raw if isinstance(raw, bytes) and service != IDENTITY else None
        failed = bool(error) or (sent.status or 0) >= _FIRST_ERROR
        event(
            "azure_call",
            agent=_AGENT,
            level="warning" if failed else "info",
            service=service,
            method=method,
            host=parts.hostname,
            route=parts.path,
            api_version=dict(parse_qsl(parts.query)).get("api-version"),
            request_sha256=hashlib.sha256(content).hexdigest() if content else None,
            request_bytes=len(content) if content is not None else None,
            status=sent.status,
            latency_ms=round((time.perf_counter() - started) * 1000, 1),
            error=error or None,
        )


def recording_transport(service: str, **options: float) -> RequestsTransport:
    """What azure-core's clients send with by default, telling of each request.

    Args:
        service: whose requests they are.
        **options: as a client would give it, `connection_timeout` and the like.
    """
    transport = _transport_kind()(**options)
    transport.service = service
    return transport


def openai_http_client() -> openai.DefaultHttpxClient:
    """What the openai package sends with by default, telling of each request; follows nowhere."""
    # Another host would be sent the key or the prompt, and an event would be missing.
    client: openai.DefaultHttpxClient = _client_kind()(follow_redirects=False)
    return client


@functools.cache
def _transport_kind() -> Any:  # noqa: ANN401 - a class of a package that is imported here
    from azure.core.pipeline.transport import RequestsTransport

    class RecordingTransport(RequestsTransport):  # type: ignore[misc] # the package gives it late
        service = ""

        def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - two forms of request
            with recording(self.service, request.method, request.url, request.data) as sent:
                response = super().send(request, **kwargs)
                sent.status = response.status_code
                return response

    return RecordingTransport


@functools.cache
def _client_kind() -> Any:  # noqa: ANN401 - a class of a package that is imported here
    import openai

    class RecordingClient(openai.DefaultHttpxClient):
        def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of httpx or its successor
            with recording("openai", request.method, str(request.url), request.content) as sent:
                response = super().send(request, **kwargs)
                sent.status = response.status_code
                return response

        def __del__(self) -> None:
            # As the vendor's own, which nobody closes either.
            with contextlib.suppress(Exception):
                self.close()

    return RecordingClient
