from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from liftwright.data.file_resolver import FileResolver
from liftwright.errors import DataError, InputError
from liftwright.model import parse_url
from liftwright.model.remote_files import RemoteFile

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.model import ObjectUrl


class Shelf:
    """The port `objects` over a few bytes; counts what it is asked."""

    def __init__(self, **held: bytes) -> None:
        self.held = {f"in/{name.replace('_', '.')}": data for name, data in held.items()}
        self.found: list[str] = []
        self.asked: list[tuple[int, int]] = []

    def find(self, url: ObjectUrl) -> RemoteFile | None:
        self.found.append(str(url))
        if url.key in self.held:
            return self._file(url.key)
        files = tuple(self._file(key) for key in self.held if key.startswith(f"{url.key}/"))
        return RemoteFile(url=url, files=files, fetch=self._fetch) if files else None

    def put(self, path: Path, url: ObjectUrl) -> RemoteFile:
        self.held[url.key] = path.read_bytes()
        return self._file(url.key)

    def _file(self, key: str) -> RemoteFile:
        data = self.held[key]
        url = parse_url(f"s3://bucket/{key}")
        return RemoteFile(url=url, size=len(data), tag=f'"{hash(data)}"', fetch=self._fetch)

    def _fetch(self, file: RemoteFile, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return self.held[file.url.key][start:end]


def find(shelf: Shelf, folder: Path, text: str) -> RemoteFile:
    found = FileResolver(lambda: shelf, folder).find(folder, text)
    assert isinstance(found, RemoteFile)
    return found


def test_find_without_stores_refuses_a_url(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        FileResolver().find(tmp_path, "s3://bucket/a.csv")


def test_local_copies_a_large_object_whole_and_once(tmp_path: Path) -> None:
    data = bytes(range(256)) * 80_000  # three pieces
    shelf = Shelf(a_csv=data)
    places = FileResolver(lambda: shelf, tmp_path)
    remote = places.find(tmp_path, "s3://bucket/in/a.csv")
    assert isinstance(remote, RemoteFile)
    assert remote.local.read_bytes() == data
    with remote.open("rb") as file:
        assert file.read() == data
    assert len(shelf.asked) == 3
    places.close()
    assert not remote.local.exists()


def test_local_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    remote = find(Shelf(a_csv=b"x"), blocked / "data", "s3://bucket/in/a.csv")
    with pytest.raises(InputError, match="cannot be written"):
        _ = remote.local


def test_digest_changes_with_content_and_not_with_the_time_of_asking(tmp_path: Path) -> None:
    one = find(Shelf(a_csv=b"x"), tmp_path, "s3://bucket/in/a.csv")
    same = find(Shelf(a_csv=b"x"), tmp_path, "s3://bucket/in/a.csv")
    other = find(Shelf(a_csv=b"y"), tmp_path, "s3://bucket/in/a.csv")
    assert one.digest == same.digest != other.digest


def test_folder_holds_the_parquet_files_directly_below_it(tmp_path: Path) -> None:
    shelf = Shelf(b_parquet=b"1", a_parquet=b"2", c_csv=b"3")
    folder = find(shelf, tmp_path, "s3://bucket/in/")
    assert folder.is_dir()
    assert not folder.is_file()
    assert [one.name for one in folder.glob("*.parquet")] == ["a.parquet", "b.parquet"]
    before = folder.digest
    shelf.held["in/a.parquet"] = b"other"
    assert find(shelf, tmp_path, "s3://bucket/in/").digest != before
