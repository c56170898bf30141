"""A server on 127.0.0.1 that speaks what Azure Blob Storage and Google's XML interface speak.

As much of each as clients of files use: listing, ranges on one version, whole and multipart puts.
S3 has a stand-in of its own, moto. What Azure's own client makes of this server is tested too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "devaccount"
KEY = base64.b64encode(b"a key that only the tests know").decode()
TOKEN = "token-of-the-account"  # noqa: S105 - for the tests


@dataclass
class Stored:
    """An object as the server keeps it."""

    data: bytes
    number: int
    written: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def tag(self) -> str:
        return f'"0x{self.number:016X}"'


class ObjectServer:
    """Containers of objects, and what was asked of them."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Stored]] = {}
        self.requests: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.authorizations: list[str] = []
        self.sent = 0
        self.parts_taken: int | None = None
        """How many parts are taken before the store gives out; None takes all."""
        self.status: int | None = None
        """What every request is answered with instead; None serves."""
        self._blocks: dict[tuple[str, str], dict[str, bytes]] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._answering = threading.Event()
        self._answering.set()
        self.url = ""

    @property
    def azure(self) -> str:
        """The endpoint of the account, as an emulator spells it."""
        return f"{self.url}/{ACCOUNT}"

    def put(self, container: str, key: str, data: bytes) -> Stored:
        with self._lock:
            self._number += 1
            made = Stored(data, self._number)
            self.containers.setdefault(container, {})[key] = made
            return made

    def part(self, container: str, key: str, name: str, data: bytes) -> None:
        with self._lock:
            self._blocks.setdefault((container, key), {})[name] = data

    def join(self, container: str, key: str, names: list[str]) -> Stored:
        blocks = self._blocks.pop((container, key))
        return self.put(container, key, b"".join(blocks[name] for name in names))

    def drop(self, container: str, key: str) -> None:
        with self._lock:
            self._blocks.pop((container, key), None)
            self.containers[container].pop(key, None)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Within the block, requests are taken and not answered."""
        self._answering.clear()
        try:
            yield
        finally:
            self._answering.set()

    def wait(self) -> None:
        """Wait until requests are answered."""
        self._answering.wait(20)

    @contextmanager
    def running(self) -> Iterator[ObjectServer]:
        handler = type("Bound", (_Handler,), {"objects": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: ObjectServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.body = self.rfile.read(length)
        parts = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        path = unquote(parts.path).lstrip("/")
        self.objects.requests.append((self.command, self.path))
        self.objects.authorizations.append(self.headers.get("authorization", ""))
        self.objects.wait()
        if self.objects.status is not None:
            self._answer(self.objects.status, b"<Error><Code>Refused</Code></Error>")
            return
        if path.startswith(f"{ACCOUNT}/"):
            wrong = self._wrong_signature(parts.path)
            if wrong:
                self.objects.refused.append(wrong)
                self._error(403, "AuthenticationFailed")
                return
            path = path.removeprefix(f"{ACCOUNT}/")
        if path == "token":
            # Google reads `expires_in`, Azure's managed identity `expires_on`.
            token = {"access_token": TOKEN, "expires_in": 3600, "expires_on": 4_000_000_000}
            text = json.dumps({**token, "resource": self.query.get("resource")}).encode()
            self._answer(200, text, {"Content-Type": "application/json"})
            return
        container, _, key = path.partition("/")
        self._of_container(container, key)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the library's names

    def _of_container(self, container: str, key: str) -> None:
        azure = self.headers.get("x-ms-version") is not None
        held = self.objects.containers.get(container)
        if held is None:
            self._error(404, "ContainerNotFound" if azure else "NoSuchBucket")
        elif not key:
            self._list(container, held, azure=azure)
        elif self.command in ("GET", "HEAD"):
            self._give(held.get(key), azure=azure)
        else:
            self._take(container, key)

    # ── Reading ──

    def _give(self, stored: Stored | None, *, azure: bool) -> None:
        if stored is None:
            self._error(404, "BlobNotFound" if azure else "NoSuchKey")
            return
        wanted = self.headers.get("if-match")
        generation = self.query.get("generation")
        if wanted not in (None, stored.tag):
            self._error(412, "ConditionNotMet")
            return
        if generation not in (None, str(stored.number)):
            self._error(404, "NoSuchKey")
            return
        data, status, more = stored.data, 200, {}
        span = self.headers.get("x-ms-range") or self.headers.get("range")
        if span is not None:
            first, _, last = span.removeprefix("bytes=").partition("-")
            end = min(int(last) + 1 if last else len(data), len(data))
            more["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
            data, status = data[int(first) : end], 206
        headers = {
            "ETag": stored.tag,
            "Last-Modified": format_datetime(stored.written, usegmt=True),
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            **more,
        }
        if azure:
            headers["x-ms-blob-type"] = "BlockBlob"
        else:
            headers["x-goog-generation"] = str(stored.number)
        self._answer(status, data, headers)

    def _list(self, container: str, held: dict[str, Stored], *, azure: bool) -> None:
        prefix, mark = self.query.get("prefix", ""), self.query.get("delimiter", "")
        keys = sorted(key for key in held if key.startswith(prefix))
        folders = sorted(
            {k[: k.index(mark, len(prefix)) + 1] for k in keys if mark in k[len(prefix) :]}
            if mark
            else set()
        )
        direct = [key for key in keys if not any(key.startswith(folder) for folder in folders)]
        text = (_azure_list if azure else _google_list)(container, held, direct, folders)
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    # ── Writing ──

    def _take(self, container: str, key: str) -> None:
        if self.command == "DELETE":
            self.objects.drop(container, key)
            self._answer(204)
            return
        what = self.query.get("comp")
        is_part = what == "block" or "partNumber" in self.query
        if is_part and self.objects.parts_taken is not None:
            self.objects.parts_taken -= 1
            if self.objects.parts_taken < 0:
                self._error(507, "InsufficientStorage")
                return
        if what == "block":
            self.objects.part(container, key, self.query["blockid"], self.body)
            self._answer(201)
        elif what == "blocklist":
            names = [str(node.text) for node in ET.fromstring(self.body)]  # noqa: S314 - our client's
            self._done(self.objects.join(container, key, names), 201)
        elif "uploads" in self.query:
            self._answer(200, _element("InitiateMultipartUploadResult", UploadId="1"))
        elif "partNumber" in self.query:
            self.objects.part(container, key, self.query["partNumber"], self.body)
            self._answer(200, headers={"ETag": f'"{self.query["partNumber"]}"'})
        elif "uploadId" in self.query and self.command == "POST":
            nodes = ET.fromstring(self.body).iter()  # noqa: S314 - the same
            names = [str(n.text) for n in nodes if n.tag.endswith("PartNumber")]
            made = self.objects.join(container, key, names)
            text = _element("CompleteMultipartUploadResult", ETag=made.tag)
            self._answer(200, text, {"x-goog-generation": str(made.number)})
        else:
            self._done(self.objects.put(container, key, self.body), 201)

    def _done(self, made: Stored, status: int) -> None:
        headers = {
            "ETag": made.tag,
            "Last-Modified": format_datetime(made.written, usegmt=True),
            "x-goog-generation": str(made.number),
            "x-ms-request-server-encrypted": "true",
        }
        self._answer(status, b"", headers)

    # ── Answering ──

    def _error(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as asked</Message></Error>"
        self._answer(status, text.encode(), {"x-ms-error-code": code})

    def _answer(
        self, status: int, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.objects.sent += len(data)
            self.wfile.write(data)

    def _wrong_signature(self, path: str) -> str:
        """What is wrong with a request's Shared Key signature; empty where it is right."""
        given = self.headers.get("authorization", "")
        if "sig=" in self.path:
            return "" if self.query.get("sig") == "good" else "signature of a link"
        if given.startswith("Bearer "):
            return "" if given == f"Bearer {TOKEN}" else "token"
        standard = ("content-encoding", "content-language", "content-length", "content-md5")
        standard += ("content-type", "date", "if-modified-since", "if-match", "if-none-match")
        standard += ("if-unmodified-since", "range")
        values = [self.headers.get(name, "") for name in standard]
        values[2] = "" if values[2] == "0" else values[2]
        own = sorted(n.lower() for n in self.headers if n.lower().startswith("x-ms-"))
        named = [f"{name}:{self.headers[name].strip()}" for name in own]
        asked = [f"{name}:{self.query[name]}" for name in sorted(self.query)]
        text = "\n".join([self.command, *values, *named, f"/{ACCOUNT}{path}", *asked])
        mac = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        right = f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"
        return "" if given == right else f"not as signed here: {given.partition(':')[0]}"


def _element(name: str, **fields: str) -> bytes:
    inside = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in fields.items())
    return f"<{name}>{inside}</{name}>".encode()


def _azure_list(
    container: str, held: dict[str, Stored], keys: list[str], folders: list[str]
) -> str:
    blobs = "".join(
        f"<Blob><Name>{escape(key)}</Name><Properties>"
        f"<Last-Modified>{format_datetime(held[key].written, usegmt=True)}</Last-Modified>"
        f"<Etag>{held[key].tag.strip(chr(34))}</Etag>"
        f"<Content-Length>{len(held[key].data)}</Content-Length>"
        "<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType>"
        "</Properties></Blob>"
        for key in keys
    )
    prefixes = "".join(f"<BlobPrefix><Name>{escape(f)}</Name></BlobPrefix>" for f in folders)
    return (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{container}">'
        f"<Blobs>{blobs}{prefixes}</Blobs><NextMarker/></EnumerationResults>"
    )


def _google_list(
    container: str, held: dict[str, Stored], keys: list[str], folders: list[str]
) -> str:
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Generation>{held[key].number}</Generation>"
        f"<LastModified>{held[key].written.isoformat().replace('+00:00', 'Z')}</LastModified>"
        f"<ETag>{escape(held[key].tag)}</ETag><Size>{len(held[key].data)}</Size></Contents>"
        for key in keys
    )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
        f"<Name>{container}</Name><IsTruncated>false</IsTruncated>"
        f"{contents}{prefixes}</ListBucketResult>"
    )
