"""moto on 127.0.0.1: a server that speaks S3, of another hand than ours."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "wJalrXUtnFEMIcanaryK7MDENGbPxRfiCY"
"""The secret key; it must stand nowhere but in the environment."""


class S3Server:
    """A server with buckets, and AWS's own client for the tests' side of it."""

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        self._client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="AKIDTESTS",
            aws_secret_access_key="of-the-tests",  # noqa: S106 - moto takes any
        )

    def variables(self) -> dict[str, str]:
        """The environment of somebody who may use it."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": CANARY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }

    def make(self, bucket: str) -> None:
        self._client.create_bucket(Bucket=bucket)

    def keep_versions(self, bucket: str) -> None:
        kept = {"Status": "Enabled"}
        self._client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=kept)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=bucket, Key=key, Body=data)

    def delete(self, bucket: str, key: str) -> None:
        self._client.delete_object(Bucket=bucket, Key=key)

    def delete_bucket(self, bucket: str) -> None:
        self._client.delete_bucket(Bucket=bucket)

    def get(self, bucket: str, key: str) -> bytes:
        with self._client.get_object(Bucket=bucket, Key=key)["Body"] as body:
            found: bytes = body.read()
            return found

    def puts(self, bucket: str) -> dict[str, int]:
        """How often each object was put."""
        listed = self._client.list_object_versions(Bucket=bucket)["Versions"]
        return dict(Counter(one["Key"] for one in listed))

    def close(self) -> None:
        self._client.close()


@contextmanager
def running() -> Iterator[S3Server]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        made = S3Server(f"http://{host}:{port}")
        yield made
        made.close()
    finally:
        server.stop()
