"""Finds, reads and uploads objects through obstore.

A store's error message may contain a signed URL, so only its status and code are repeated.
"""

from __future__ import annotations

import contextlib
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from liftwright.adapters.object_stores.clients import RETRIES, open_client
from liftwright.errors import DataError, LiftwrightError
from liftwright.model import ObjectUrl, parse_url
from liftwright.model.remote_files import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from obstore import GetOptions

    from liftwright.config import Authentication, ObjectStores

_MIN_PART_BYTES = 8 << 20
_MAX_PARTS = 5_000
_PARALLEL_PARTS = 4
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{3,40})</Code>")
_NO_CONTAINER = ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName")
_OTHER_REGION = ("301", "307", "400")
_CREDENTIAL_SOURCES = {
    "s3": "AWS_PROFILE, AWS_ACCESS_KEY_ID or the machine's role",
    "azure": "authentication.method, or AZURE_STORAGE_ACCOUNT_KEY",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS or the machine's account",
}


class ObstoreObjects:
    """The port `Objects`; opens a client per bucket or container when it is first used."""

    def __init__(
        self,
        options: ObjectStores,
        authentication: Authentication,
        variables: Mapping[str, str],
    ) -> None:
        """Prepare access to the stores; nothing is requested yet.

        Args:
            options: endpoints and time-out.
            authentication: the identity for Azure, if the environment has no key.
            variables: the environment and .env.
        """
        self._timeout_seconds = options.timeout_seconds
        self._open = partial(
            open_client, options=options, authentication=authentication, variables=variables
        )
        self._clients: dict[tuple[str, str | None, str], Any] = {}

    def find(self, url: ObjectUrl) -> RemoteFile | None:
        """The object at `url`, otherwise the folder of the objects directly below it.

        Raises:
            DataError: the container does not exist, or the store fails or denies access.
        """
        one = None
        with self._translated(url):
            client = self._client(url)
            if url.key and not url.folder:
                with contextlib.suppress(FileNotFoundError):
                    one = self._file(url, client.head(url.key))
            if one is not None and one.size > 0:
                return one
            # Data Lake Storage shows a folder as an empty object.
            listed = client.list_with_delimiter(url.key or None)["objects"]
        if not listed:
            return one
        container = "/".join(url.text.split("/", 3)[:3])
        files = (self._file(parse_url(f"{container}/{meta['path']}"), meta) for meta in listed)
        return RemoteFile(url=url, files=tuple(files), fetch=self._fetch)

    def put(self, path: Path, url: ObjectUrl) -> RemoteFile:
        """Upload a file; the object appears when its last part has arrived.

        Raises:
            DataError: the store fails or denies access.
        """
        size = path.stat().st_size
        with self._translated(url):
            done = self._client(url).put(
                url.key,
                path,
                chunk_size=max(_MIN_PART_BYTES, size // _MAX_PARTS),
                max_concurrency=_PARALLEL_PARTS,
            )
        return RemoteFile(
            url=url, size=size, tag=done["e_tag"], version=done["version"], fetch=self._fetch
        )

    def _file(self, url: ObjectUrl, meta: Mapping[str, Any]) -> RemoteFile:
        tag = meta["e_tag"]
        if tag is not None and not tag.endswith('"'):
            # Azure's listings omit the quotes, which conditional requests need.
            tag = f'"{tag}"'
        return RemoteFile(
            url=url,
            size=meta["size"],
            tag=tag,
            version=meta["version"],
            modified_ns=round(meta["last_modified"].timestamp() * 1e9),
            fetch=self._fetch,
        )

    def _fetch(self, file: RemoteFile, start: int, end: int) -> bytes:
        options: GetOptions = {"range": (start, end)}
        if file.tag is not None:
            options["if_match"] = file.tag
        # S3 requires another permission to read a version, and its ETag pins it as well.
        if file.version is not None and file.url.store != "s3":
            options["version"] = file.version
        with self._translated(file.url):
            try:
                got = self._client(file.url).get(file.url.key, options=options)
                data: bytes = got.bytes().to_bytes()
            except FileNotFoundError:
                raise DataError(f"{file.url}: it was deleted during this run") from None
        if len(data) != end - start:
            raise DataError(f"{file.url}: it is shorter than the store's listing says")
        return data

    def _client(self, url: ObjectUrl) -> Any:  # noqa: ANN401 - one of three stores
        key = (url.store, url.account, url.container)
        if key not in self._clients:
            self._clients[key] = self._open(url)
        return self._clients[key]

    @contextlib.contextmanager
    def _translated(self, url: ObjectUrl) -> Iterator[None]:
        """Within the block, obstore's errors become ours."""
        try:
            yield
        except LiftwrightError:
            raise
        except Exception as error:  # noqa: BLE001 - obstore raises many, some of them built-in
            raise DataError(f"{url}: {self._cause(error, url)}") from None

    def _cause(self, error: Exception, url: ObjectUrl) -> str:
        text, kind = str(error), type(error).__name__
        status, code = (
            match.group(1) if match else "" for match in (_STATUS.search(text), _CODE.search(text))
        )
        answer = f"{status}, {code}" if code else status
        if code in _NO_CONTAINER:
            cause = f"no such bucket or container: {url.container}"
        elif status == "404":
            cause = "no such object, bucket or container"
        elif kind == "PreconditionError":
            cause = "it changed during this run; run again"
        elif kind in ("PermissionDeniedError", "UnauthenticatedError"):
            cause = f"access denied ({answer}); credentials: {_CREDENTIAL_SOURCES[url.store]}"
        elif status in _OTHER_REGION and url.store == "s3":
            cause = f"request refused ({answer}); is the bucket in another region than AWS_REGION?"
        elif status:
            cause = f"request refused ({answer})"
        elif kind == "InvalidPathError":
            cause = "invalid key: a part of it is empty, or consists of dots"
        else:
            seconds = f"{self._timeout_seconds:g}"
            cause = f"the store cannot be reached: {1 + RETRIES} attempts of at most {seconds} s"
        return cause
