"""Where Spark reads a file: a path of its own machines, or an object by the name Hadoop gives it.

The bytes go from the store to Spark by Hadoop's connectors; `spark.config` names their packages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.adapters.spark_files import reading_url
from liftwright.errors import DataError

if TYPE_CHECKING:
    from liftwright.remote import File

_PATTERNS = str.maketrans({sign: f"\\{sign}" for sign in "*?[]{}"})


def source_url(file: File) -> str:
    """The URL by which Spark reads a file.

    Raises:
        DataError: the URL leaves the storage account to our environment, which Hadoop does not see.
    """
    if isinstance(file, Path):
        return reading_url(file)
    url = file.url
    key = url.key.translate(_PATTERNS)
    if url.store == "s3":
        return f"s3a://{url.container}/{key}"
    if url.store == "gcs":
        return f"gs://{url.container}/{key}"
    if url.account is None:
        raise DataError(
            f"{url}: Spark needs the account in the URL: "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        )
    return f"abfss://{url.container}@{url.account}.dfs.{url.suffix}/{key}"
