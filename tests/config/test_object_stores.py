from __future__ import annotations

import pytest
from pydantic import ValidationError

from liftwright.config import ObjectStores


def test_object_stores_take_a_folder_of_a_store_and_addresses() -> None:
    found = ObjectStores(export_to="s3://bucket/runs/", s3_endpoint="http://127.0.0.1:9000")
    assert (found.export_to, found.timeout_seconds) == ("s3://bucket/runs/", 30)
    assert ObjectStores().export_to is None


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("export_to", "data/exported", "local path"),
        ("export_to", "s4://bucket/runs", "s3://"),
        ("export_to", "s3://bucket/runs?X-Amz-Signature=x", "query"),
        ("s3_endpoint", "minio:9000", "pattern"),
        ("s3_endpoint", "https://user:password@minio", "pattern"),
        ("azure_endpoint", "https://acme.blob.core.windows.net/?sig=x", "pattern"),
        ("timeout_seconds", 0, "greater than 0"),
    ],
)
def test_object_stores_refuse_what_is_no_store_and_what_may_hold_a_secret(
    key: str, value: object, told: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        ObjectStores.model_validate({key: value})
    assert told in str(caught.value)
