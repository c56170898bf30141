"""Where Spark reads a file: a path of its own machines, or an object by the name Hadoop gives it.

The bytes go from the store to Spark by Hadoop's connectors; `spark.config` names their packages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from liftwright.adapters.spark.files import plain, reading_url
from liftwright.errors import DataError

if TYPE_CHECKING:
    from liftwright.model.remote_files import File

# What Java leaves as it is in the path of a URI; beyond ASCII it leaves all but spaces.
_LEGAL = "!$&'()*+,;=:@-._~/"
_LAST_ASCII = 0x7F


def source_url(file: File) -> str:
    """The URL by which Spark reads a file.

    Raises:
        DataError: the URL leaves the storage account to our environment, which Hadoop does not see.
    """
    if isinstance(file, Path):
        return reading_url(file)
    url = file.url
    key = plain(url.key)
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


def name_in_metadata(file: File) -> str:
    """A file's name as `_metadata.file_name` spells it: as a part of a URI."""
    return "".join(
        sign if ord(sign) > _LAST_ASCII and sign.isprintable() else quote(sign, safe=_LEGAL)
        for sign in file.name
    )
