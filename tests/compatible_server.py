"""A server on 127.0.0.1 that speaks the OpenAI wire format, and fails as its script says."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came in; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, object]

    @property
    def prompt(self) -> str:
        """The text of its messages."""
        messages = self.body.get("messages")
        assert isinstance(messages, list)
        return "\n".join(str(message["content"]) for message in messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server does with one request.

    Attributes:
        body: sent as JSON; bytes are sent as they are.
        delay_seconds: before the first byte.
        cut_after: bytes after which the connection is closed, though more were announced.
        drip_seconds: between single bytes of the body.
    """

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut_after: int | None = None
    drip_seconds: float = 0.0


def chat_completion(text: str | None, **changes: object) -> dict[str, object]:
    """The body of a good reply that says `text`.

    Args:
        text: the message's content.
        **changes: `finish_reason`, `refusal`, `usage` or `model` in place of the usual ones.
    """
    message: dict[str, object] = {"role": "assistant", "content": text}
    if "refusal" in changes:
        message["refusal"] = changes["refusal"]
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": changes.get("model", "served-model"),
        "choices": [
            {"index": 0, "finish_reason": changes.get("finish_reason", "stop"), "message": message}
        ],
        "usage": changes.get("usage", usage),
    }


def failure(status: int, code: str | None = None, **headers: str) -> Answer:
    """An error in the wire format; `retry_after="1"` becomes the header `retry-after`."""
    return Answer(
        status=status,
        body={"error": {"message": "SERVER WORDS", "type": "error", "code": code}},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


class CompatibleServer:
    """Answers from its script, then with `otherwise`; keeps every request.

    Args:
        port: where it listens; 0 takes a free one.

    Attributes:
        script: answers still to be given, first come first served.
        otherwise: makes the answer once the script is used up.
        requests: all requests so far, in order of arrival.
    """

    def __init__(self, port: int = 0) -> None:
        self.script: deque[Answer] = deque()
        self.otherwise: Callable[[Request], Answer] = lambda _: Answer(body=chat_completion("{}"))
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        """The base URL, as a user would configure it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @contextlib.contextmanager
    def running(self) -> Iterator[CompatibleServer]:
        """Within the block, the server answers."""
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join(timeout=5)

    def answer(self, request: Request) -> Answer:
        """Keep the request, and tell what to do with it."""
        with self._lock:
            self.requests.append(request)
            scripted = self.script.popleft() if self.script else None
        return scripted or self.otherwise(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                request = Request(
                    path=self.path,
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=json.loads(self.rfile.read(length) or b"{}"),
                )
                with contextlib.suppress(ConnectionError):
                    self._send(server.answer(request))

            def _send(self, answer: Answer) -> None:
                time.sleep(answer.delay_seconds)
                raw = (
                    answer.body
                    if isinstance(answer.body, bytes)
                    else json.dumps(answer.body).encode()
                )
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.send_header("connection", "close")
                self.end_headers()
                if answer.drip_seconds:
                    for byte in raw:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(answer.drip_seconds)
                else:
                    self.wfile.write(raw[: answer.cut_after])

            def log_message(self, *_: object) -> None:
                """Say nothing: the requests are kept instead."""

        return Handler
