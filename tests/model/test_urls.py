from __future__ import annotations

import pytest

from liftwright.errors import DataError
from liftwright.model import parse_url


@pytest.mark.parametrize(
    ("text", "store", "container", "key", "folder"),
    [
        ("s3://bucket/a/b.parquet", "s3", "bucket", "a/b.parquet", False),
        ("s3a://bucket/a/", "s3", "bucket", "a", True),
        ("s3://bucket", "s3", "bucket", "", True),
        ("gs://my.bucket_1/ä b.csv", "gcs", "my.bucket_1", "ä b.csv", False),
        ("az://cont/x.csv", "azure", "cont", "x.csv", False),
    ],
)
def test_parse_url_of_a_store_takes_it_apart(
    text: str, store: str, container: str, key: str, *, folder: bool
) -> None:
    url = parse_url(text)
    assert (url.store, url.container, url.key, url.folder) == (store, container, key, folder)
    assert str(url) == text


def test_parse_url_of_azure_knows_account_and_cloud() -> None:
    url = parse_url("abfss://data@acme1.dfs.core.usgovcloudapi.net/in/c.parquet")
    assert (url.container, url.account, url.suffix) == ("data", "acme1", "core.usgovcloudapi.net")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s4://bucket/x", "s3://?"),
        ("abfs://c@a.dfs.core.windows.net/x", "abfss://?"),
        ("http://host/x.csv", "paths"),
        ("S3://bucket/x", "s3://?"),
        ("s3://b", "allowed: s3://BUCKET/KEY"),
        ("abfss://data/x.csv", "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"),
        ("s3://bucket/x/*.parquet", "folder"),
    ],
)
def test_parse_url_of_no_store_says_what_is_allowed(text: str, told: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_url(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/x.csv?X-Amz-Signature=CANARY",
        "https://acme.blob.core.windows.net/c/x.csv?sig=CANARY",
        "s3://user:CANARY@bucket/x.csv",
        "http://user:CANARY@host/x.csv",
        "abfss://CANARY@x/y",
    ],
)
def test_parse_url_with_what_may_be_a_secret_does_not_repeat_it(text: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_url(text)
    assert "CANARY" not in str(caught.value)
