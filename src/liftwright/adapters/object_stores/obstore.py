"""S3, Azure Blob Storage and Google Cloud Storage through obstore; credentials as each is used to.

What a store says of a failure may hold signed addresses: no word of it is repeated but the status.
"""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from liftwright.errors import DataError, InputError, LiftwrightError
from liftwright.model import ObjectUrl, parse_url
from liftwright.model.remote_files import StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from obstore import GetOptions

    from liftwright.config import Authentication, ObjectStores

    Credentials = Callable[[], dict[str, Any]]

_CONNECT_SECONDS = 5
_RETRIES = 3
_PART_BYTES = 8 << 20
_MOST_PARTS = 5_000
_PARTS_AT_ONCE = 4
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{3,40})</Code>")
_NOT_FOUND = 404
_ELSEWHERE = (301, 307, 400)
_NO_CONTAINER = ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName")
_FROM = {
    "s3": "AWS_PROFILE, AWS_ACCESS_KEY_ID or the machine's role",
    "azure": "authentication.method, or AZURE_STORAGE_ACCOUNT_KEY",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS or the machine's account",
}


class ObstoreObjects:
    """The port of object stores; a client per bucket or container is made when it is asked for."""

    def __init__(
        self,
        options: ObjectStores,
        authentication: Authentication,
        variables: Mapping[str, str],
    ) -> None:
        """Stores that are asked later.

        Args:
            options: endpoints and time-outs.
            authentication: who Liftwright is to Azure, where the environment holds no key.
            variables: the environment and .env.

        Raises:
            InputError: obstore is not installed.
        """
        try:
            import obstore
        except ImportError:
            raise InputError(
                "URLs of object stores need obstore: pip install 'liftwright[stores]'"
            ) from None
        self._api = obstore
        self._options = options
        self._authentication = authentication
        self._variables = variables
        self._clients: dict[tuple[str, str | None, str], Any] = {}

    def find(self, url: ObjectUrl) -> StoredObject | tuple[StoredObject, ...]:
        """The object at `url`, else those directly below it: none where there is nothing.

        Raises:
            DataError: there is no such container, or the store cannot be reached or asked.
        """
        client = self._client(url)
        one = None
        try:
            if url.key and not url.folder:
                with contextlib.suppress(FileNotFoundError):
                    one = _stored(url, self._api.head(client, url.key))
            if one is not None and one.size > 0:
                return one
            # Data Lake has folders, and shows them as objects of no bytes.
            listed = self._api.list_with_delimiter(client, url.key or None)
        except Exception as error:  # noqa: BLE001 - the vendor's own, each in our words
            raise self._fault(error, url) from None
        below = tuple(_stored(_beside(url, each["path"]), each) for each in listed["objects"])
        return below if below or one is None else one

    def read(self, one: StoredObject, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end` of the version that was found; from threads, too.

        Raises:
            DataError: it is gone or another by now, or the store cannot be reached or asked.
        """
        options: GetOptions = {"range": (start, end)}
        if one.tag is not None:
            options["if_match"] = one.tag
        # S3 asks for a right of its own where a version is named, and its tag says as much.
        if one.version is not None and one.url.store != "s3":
            options["version"] = one.version
        try:
            got = self._api.get(self._client(one.url), one.url.key, options=options)
            data: bytes = got.bytes().to_bytes()
        except FileNotFoundError:
            raise DataError(f"{one.url}: it is gone since this run first saw it") from None
        except Exception as error:  # noqa: BLE001 - the same
            raise self._fault(error, one.url) from None
        if len(data) != end - start:
            raise DataError(f"{one.url}: it is shorter than the store had said")
        return data

    def put(self, file: Path, url: ObjectUrl) -> StoredObject:
        """Put a file there, whole or not at all: in parts that become an object at the end.

        Raises:
            DataError: the store cannot be reached or does not take it.
        """
        size = file.stat().st_size
        try:
            done = self._api.put(
                self._client(url),
                url.key,
                file,
                chunk_size=max(_PART_BYTES, size // _MOST_PARTS),
                max_concurrency=_PARTS_AT_ONCE,
            )
        except Exception as error:  # noqa: BLE001 - the same
            raise self._fault(error, url) from None
        return StoredObject(
            url=url, size=size, tag=done["e_tag"], version=done["version"], modified_ns=0
        )

    def _client(self, url: ObjectUrl) -> Any:  # noqa: ANN401 - one of three stores
        key = (url.store, url.account, url.container)
        if key not in self._clients:
            try:
                self._clients[key] = self._made(url)
            except LiftwrightError:
                raise
            except Exception as error:  # noqa: BLE001 - the same
                raise self._fault(error, url) from None
        return self._clients[key]

    def _made(self, url: ObjectUrl) -> Any:  # noqa: ANN401 - the same
        from obstore.store import AzureStore, GCSStore, S3Store

        from liftwright.adapters.object_stores import access

        if url.store == "s3":
            way = access.to_s3(url, self._options, self._variables)
            kind: Any = S3Store
        elif url.store == "azure":
            way = access.to_azure(url, self._options, self._authentication, self._variables)
            kind = AzureStore
        else:
            way = access.to_gcs(url, self._options, self._variables)
            kind = GCSStore
        seconds = self._options.timeout_seconds
        return kind(
            url.container,
            config=way.config,
            credential_provider=way.credentials,
            client_options={
                "allow_http": way.endpoint is not None and way.endpoint.startswith("http://"),
                "timeout": timedelta(seconds=seconds),
                "connect_timeout": timedelta(seconds=min(seconds, _CONNECT_SECONDS)),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=2 * seconds),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=5),
                    "base": 2,
                },
            },
        )

    def _fault(self, error: Exception, url: ObjectUrl) -> LiftwrightError:
        """What went wrong, in our words."""
        text, kind = str(error), type(error).__name__
        status, code = _STATUS.search(text), _CODE.search(text)
        number = int(status.group(1)) if status else None
        word = code.group(1) if code else ""
        told = f"{number}, {word}" if word else f"{number}"
        seconds = f"{self._options.timeout_seconds:g}"
        causes = (
            (word in _NO_CONTAINER, f"no such bucket or container: {url.container}"),
            (number == _NOT_FOUND, "no such object, bucket or container"),
            (kind == "PreconditionError", "it has changed since this run first saw it; run again"),
            (
                kind in ("PermissionDeniedError", "UnauthenticatedError"),
                f"access denied ({told}); the credentials come from {_FROM[url.store]}",
            ),
            (
                number in _ELSEWHERE and url.store == "s3",
                f"not taken ({told}); is the bucket in another region than AWS_REGION says?",
            ),
            (number is not None, f"the store did not take the request ({told})"),
            (
                kind == "InvalidPathError",
                "not a key that can be asked for: a part of it is empty, or of dots alone",
            ),
        )
        unreached = f"the store cannot be reached: {1 + _RETRIES} attempts of at most {seconds} s"
        cause = next((cause for holds, cause in causes if holds), unreached)
        return DataError(f"{url}: {cause}")


def _stored(url: ObjectUrl, meta: Mapping[str, Any]) -> StoredObject:
    return StoredObject(
        url=url,
        size=meta["size"],
        tag=_quoted(meta["e_tag"]),
        version=meta["version"],
        modified_ns=round(meta["last_modified"].timestamp() * 1e9),
    )


def _quoted(tag: str | None) -> str | None:
    """A tag as conditions take it; Azure's listings leave its quotes out."""
    return tag if tag is None or tag.endswith('"') else f'"{tag}"'


def _beside(url: ObjectUrl, key: str) -> ObjectUrl:
    """The URL of another key in the same container, spelled as the first."""
    container = url.text.partition("://")[2].partition("/")[0]
    return parse_url(f"{url.text.partition('://')[0]}://{container}/{key}")
