"""Logs one event for each HTTP request to Azure.

An event has the request's route without parameters, the SHA-256 and the size of the body, never the
body itself. Token requests are logged without the hash, as their bodies may contain a secret. The
latency is the time until the response's headers.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from liftwright.log import event, silence

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openai
    from azure.core.pipeline.transport import RequestsTransport

__all__ = ["IDENTITY", "log_request", "logging_transport", "openai_http_client"]

IDENTITY = "identity"

_AGENT = "azure"
_FIRST_ERROR = 400
_CONNECTIONS = 64  # the most that `calls.concurrency` allows


class PendingRequest:
    """A request in flight.

    Attributes:
        status: of the response; None until it arrives.
    """

    def __init__(self) -> None:
        self.status: int | None = None


@contextlib.contextmanager
def log_request(service: str, method: str, url: str, body: object) -> Iterator[PendingRequest]:
    """Log the request that the block sends.

    Args:
        service: openai, search, content_safety, key_vault or identity.
        method: of the request.
        url: of the request.
        body: text or bytes as they are sent; anything else is logged without hash and size.
    """
    sent, error = PendingRequest(), ""
    started = time.perf_counter()
    try:
        yield sent
    except BaseException as fault:
        # Only the type: the messages of vendors' errors may repeat the request.
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


def logging_transport(service: str, **options: float) -> RequestsTransport:
    """The default transport of azure-core's clients, which also logs each request.

    Args:
        service: the service's name in the log.
        **options: options of the transport, such as `connection_timeout`.
    """
    silence("azure", "msal", "urllib3")
    transport = _transport_class()(**options)
    transport.service = service
    return transport


def openai_http_client() -> openai.DefaultHttpxClient:
    """The openai package's default HTTP client, which also logs requests; without redirects."""
    silence("openai", "httpx", "httpx2")
    # A redirect could send the key or the prompt to another host, and would not be logged.
    client: openai.DefaultHttpxClient = _client_class()(follow_redirects=False)
    return client


@functools.cache
def _transport_class() -> Any:  # noqa: ANN401 - a class of a package that is imported here
    from azure.core.pipeline.transport import RequestsTransport

    class LoggingTransport(RequestsTransport):  # type: ignore[misc] # the package loads it lazily
        service = ""

        def open(self) -> None:
            is_new = self.session is None
            super().open()
            if is_new:
                # The vendor keeps ten connections; every further call would open its own.
                for adapter in self.session.adapters.values():
                    adapter.init_poolmanager(_CONNECTIONS, _CONNECTIONS)

        def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - two forms of request
            with log_request(self.service, request.method, request.url, request.data) as sent:
                response = super().send(request, **kwargs)
                sent.status = response.status_code
                return response

    return LoggingTransport


@functools.cache
def _client_class() -> Any:  # noqa: ANN401 - a class of a package that is imported here
    import openai

    class LoggingClient(openai.DefaultHttpxClient):
        def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of httpx or its successor
            with log_request("openai", request.method, str(request.url), request.content) as sent:
                response = super().send(request, **kwargs)
                sent.status = response.status_code
                return response

        def __del__(self) -> None:
            # As the vendor's default client, which is not closed explicitly either.
            with contextlib.suppress(Exception):
                self.close()

    return LoggingClient
