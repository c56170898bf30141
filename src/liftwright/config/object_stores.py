"""The shape of the block `object_stores` of azure_config.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from liftwright.config.model import Name, Shape
from liftwright.errors import DataError
from liftwright.model import is_url, parse_url

# Without a user and a query: neither a password nor a token stands in the configuration.
Address = Annotated[str, Field(pattern=r"^https?://[^/\s@?]+(/[^\s?]*)?$")]


class ObjectStores(Shape):
    """Where object stores are, how long they may take, and where tables are put."""

    export_to: Name | None = None
    s3_endpoint: Address | None = None
    azure_endpoint: Address | None = None
    gcs_endpoint: Address | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0

    @field_validator("export_to")
    @classmethod
    def _to_a_store(cls, url: str | None) -> str | None:
        if url is not None and not is_url(url):
            raise ValueError(
                "a path of this machine; allowed is the URL of a folder in an object store, as "
                "s3://BUCKET/PREFIX"
            )
        if url is not None:
            try:
                parse_url(url)
            except DataError as error:
                raise ValueError(str(error)) from None
        return url
