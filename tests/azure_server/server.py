"""The TLS server: passes requests to handlers and fails as scripted."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import traceback
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from azure_server.faults import SERVER_WORDS, Fault, Script
from azure_server.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A received request: unquoted path, lower-case header names, body parsed if it is JSON."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    json: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A service's answer: `body` unchanged, else `json`, else an empty body."""

    status: int = 200
    json: object = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class InvalidRequest(Exception):  # noqa: N818 - reads as the state it reports
    """Raised by a handler: the real service would refuse this request. Fails the test."""


class Handler(Protocol):
    """A service: answers the requests whose path starts with its prefix (the longest wins)."""

    prefix: str | tuple[str, ...]

    def handle(self, request: Recorded) -> Reply:
        """The answer; one request at a time.

        Raises:
            InvalidRequest: where the real service would refuse the request.
        """
        ...


class AzureServer:
    """Services behind one address, https://localhost:PORT.

    Attributes:
        requests: all requests so far, in order of arrival, those that met a fault included.
        invalid: what was wrong with those that no service would take.
    """

    def __init__(self, handlers: Sequence[Handler]) -> None:
        self.handlers = tuple(handlers)
        self.requests: list[Recorded] = []
        self.invalid: list[str] = []
        self._script = Script()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Http(self)
        self._http.socket = certificates().context.wrap_socket(
            # The request's thread does the handshake, so that none blocks the others.
            self._http.socket,
            server_side=True,
            do_handshake_on_connect=False,
        )

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"https://localhost:{self._http.server_address[1]}"

    def script(self, route_prefix: str, faults: Iterable[Fault | None]) -> None:
        """Give each of the next requests under the prefix a fault; None answers as usual."""
        self._script.add(route_prefix, faults)

    def under(self, route_prefix: str) -> list[Recorded]:
        """The requests under a prefix, in order of arrival."""
        return [request for request in self.requests if request.path.startswith(route_prefix)]

    @contextlib.contextmanager
    def running(self) -> Iterator[AzureServer]:
        """Run the server within the block."""
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._closing.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join(timeout=5)

    def take(self, request: Recorded) -> tuple[Fault | None, Reply]:
        """Record the request; its fault, and the service's answer if it is processed."""
        with self._lock:
            self.requests.append(request)
            fault = self._script.next(request.path)
            if fault is not None and not fault.keeps_the_answer:
                return fault, Reply()
            return fault, self._answer(request)

    def wait(self, seconds: float) -> None:
        """Wait, at most until the server is closed."""
        self._closing.wait(seconds)

    def _answer(self, request: Recorded) -> Reply:
        try:
            return self._service(request.path).handle(request)
        except InvalidRequest as wrong:
            reason = str(wrong)
        except Exception:  # noqa: BLE001 - a defect of the handler must fail the test
            reason = traceback.format_exc()
        self.invalid.append(f"{request.method} {request.path}: {reason}")
        error = {"code": "InvalidRequest", "message": f"{SERVER_WORDS}: {reason}"}
        return Reply(status=400, json={"error": error})

    def _service(self, path: str) -> Handler:
        found: list[tuple[int, Handler]] = []
        for handler in self.handlers:
            prefixes = (handler.prefix,) if isinstance(handler.prefix, str) else handler.prefix
            found += [(len(prefix), handler) for prefix in prefixes if path.startswith(prefix)]
        if not found:
            raise InvalidRequest("no service has this path")
        return max(found, key=lambda item: item[0])[1]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Many connections are opened at once in tests of concurrency.
    request_queue_size = 128

    def __init__(self, azure: AzureServer) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.azure = azure

    def handle_error(self, *_: object) -> None:
        """Ignore clients that hang up."""


class _Exchange(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    # The head and the body of an answer go out in two writes.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        request = self._recorded()
        fault, reply = self.server.azure.take(request)
        with contextlib.suppress(OSError):
            if fault is None:
                self._send(reply.status, "application/json", _raw(reply), reply.headers)
            else:
                self._fail(fault, reply)

    do_GET = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_POST  # noqa: N815 - of the base

    def _recorded(self) -> Recorded:
        parts = urlsplit(self.path)
        body = self._body()
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = None
        return Recorded(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            json=parsed,
        )

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _fail(self, fault: Fault, reply: Reply) -> None:
        if fault.kind != "drip":
            self.server.azure.wait(fault.seconds)
        if fault.kind == "reset":
            self._reset()
            return
        if fault.keeps_the_answer:
            headers = {**reply.headers, **fault.headers}
            raw, cut = _raw(reply), fault.kind == "cut"
            pause = fault.seconds if fault.kind == "drip" else 0.0
            self._send(reply.status, "application/json", raw, headers, cut=cut, pause=pause)
            return
        status, content_type, body = fault.answer()
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._send(status, content_type, raw, fault.headers)

    def _send(  # noqa: PLR0913 - what is sent, and how
        self,
        status: int,
        content_type: str,
        raw: bytes,
        headers: Mapping[str, str],
        *,
        cut: bool = False,
        pause: float = 0.0,
    ) -> None:
        self.send_response(status)
        given = {"content-type": content_type, **{k.lower(): v for k, v in headers.items()}}
        for name, value in given.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        if pause:
            for byte in raw:
                self.server.azure.wait(pause)
                self.wfile.write(bytes([byte]))
        elif self.command != "HEAD":
            self.wfile.write(raw[: len(raw) // 2] if cut else raw)
        if cut:
            self.close_connection = True

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The request's streams keep the socket open, but it must be closed at once.
        os.close(self.connection.detach())

    def log_message(self, *_: object) -> None:
        """Log nothing; requests are recorded."""


def _raw(reply: Reply) -> bytes:
    if reply.body is not None:
        return reply.body
    return b"" if reply.json is None else json.dumps(reply.json).encode()
