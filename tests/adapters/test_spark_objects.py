from __future__ import annotations

from pathlib import Path

import pytest

from liftwright.adapters.spark_objects import source_url
from liftwright.domain import parse_url
from liftwright.errors import DataError
from liftwright.remote import Remote, StoredObject


def remote(text: str) -> Remote:
    url = parse_url(text)
    stored = StoredObject(url=url, size=1, tag=None, version=None, modified_ns=0)
    return Remote(url, stored, read=lambda *_: b"", scratch=Path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/in/a b.parquet", "s3a://bucket/in/a b.parquet"),
        ("s3a://bucket/x", "s3a://bucket/x"),
        ("gs://bucket/x.csv", "gs://bucket/x.csv"),
        (
            "abfss://c-1@acme.dfs.core.windows.net/a/x.csv",
            "abfss://c-1@acme.dfs.core.windows.net/a/x.csv",
        ),
        ("s3://bucket/odd[1]{2}.csv", "s3a://bucket/odd\\[1\\]\\{2\\}.csv"),
    ],
)
def test_source_url_of_an_object_is_as_hadoop_names_it(text: str, expected: str) -> None:
    assert source_url(remote(text)) == expected


def test_source_url_of_a_path_is_a_file() -> None:
    assert source_url(Path("/data/c.csv")) == "file:///data/c.csv"


def test_source_url_without_an_account_asks_for_it() -> None:
    with pytest.raises(DataError, match="Spark needs the account in the URL"):
        source_url(remote("az://cont/c.csv"))
