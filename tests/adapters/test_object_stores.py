from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from liftwright.adapters.duckdb.engine import DuckDBEngine
from liftwright.adapters.duckdb.filesystem import RemoteFileSystem
from liftwright.adapters.object_stores.objects import ObstoreObjects
from liftwright.config import Authentication, ObjectStores
from liftwright.data import FileResolver, Tables
from liftwright.errors import DataError, InputError
from liftwright.model import parse_url
from liftwright.model.remote_files import RemoteFile
from object_server import ACCOUNT, KEY, TOKEN, ObjectServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.model.remote_files import File

AZURE = f"abfss://data@{ACCOUNT}.dfs.core.windows.net"
KINDS = ("s3", "azure", "gcs")
BASES = {"s3": "s3://data", "azure": AZURE, "gcs": "gs://data"}
CANARY = "c2VjcmV0LWNhbmFyeS1rZXk="


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with ObjectServer().running() as running:
        running.containers["data"] = {}
        yield running


def variables(server: ObjectServer, kind: str) -> dict[str, str]:
    return {
        "s3": {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": CANARY},
        "azure": {"AZURE_STORAGE_ACCOUNT_KEY": KEY},
        "gcs": {"STORAGE_EMULATOR_HOST": server.url},
    }[kind]


def objects(
    server: ObjectServer, kind: str, found: dict[str, str] | None = None, **options: object
) -> ObstoreObjects:
    where = {"s3_endpoint": server.url, "azure_endpoint": server.azure}
    chosen = ObjectStores.model_validate({**where, "timeout_seconds": 60, **options})
    return ObstoreObjects(
        chosen, Authentication(), variables(server, kind) if found is None else found
    )


@pytest.mark.parametrize("kind", KINDS)
class TestEachStore:
    def test_find_gives_the_object_or_those_below_a_prefix(
        self, server: ObjectServer, kind: str
    ) -> None:
        for key in ("in/ä b.parquet", "in/c.csv", "in/deeper/d.csv"):
            server.put("data", key, key.encode())
        port, base = objects(server, kind), BASES[kind]
        one = port.find(parse_url(f"{base}/in/ä b.parquet"))
        assert one is not None
        assert one.size == len("in/ä b.parquet".encode())
        for spelled in (f"{base}/in/", f"{base}/in"):
            below = port.find(parse_url(spelled))
            assert below is not None
            assert [str(found.url) for found in below.files or ()] == [
                f"{base}/in/c.csv",
                f"{base}/in/ä b.parquet",
            ]
            # Known by its listing or by itself, an object is the same input.
            assert below.glob("*.parquet")[0].mark == one.mark
        assert port.find(parse_url(f"{base}/none.csv")) is None
        assert server.refused == []

    def test_find_of_a_folder_that_is_kept_as_an_empty_object_gives_what_is_below(
        self, server: ObjectServer, kind: str
    ) -> None:
        server.put("data", "in", b"")
        server.put("data", "empty.csv", b"")
        port, base = objects(server, kind), BASES[kind]
        server.put("data", "in/a.parquet", b"PAR1")
        below = port.find(parse_url(f"{base}/in"))
        assert below is not None
        assert [str(one.url) for one in below.files or ()] == [f"{base}/in/a.parquet"]
        empty = port.find(parse_url(f"{base}/empty.csv"))
        assert empty is not None
        assert empty.is_file()

    def test_read_gives_bytes_of_the_version_that_was_found(
        self, server: ObjectServer, kind: str
    ) -> None:
        server.put("data", "a.bin", b"0123456789")
        port = objects(server, kind)
        one = port.find(parse_url(f"{BASES[kind]}/a.bin"))
        folder = port.find(parse_url(f"{BASES[kind]}/"))
        assert one is not None
        assert folder is not None
        (listed,) = folder.glob("*")
        assert one.read(2, 5) == listed.read(2, 5) == b"234"
        server.put("data", "a.bin", b"9876543210")
        for seen in (one, listed):
            with pytest.raises(DataError, match=r"a\.bin"):
                seen.read(2, 5)
        server.containers["data"].clear()
        with pytest.raises(DataError, match=r"a\.bin"):
            listed.read(2, 5)

    def test_put_brings_a_small_and_a_large_file_whole(
        self, server: ObjectServer, kind: str, tmp_path: Path
    ) -> None:
        port = objects(server, kind)
        for name, data in (("small", b"few"), ("large", bytes(range(256)) * 80_000)):
            (tmp_path / name).write_bytes(data)
            put = port.put(tmp_path / name, parse_url(f"{BASES[kind]}/out/{name}"))
            assert put.size == len(data)
            assert server.containers["data"][f"out/{name}"].data == data
        # The parts of the large one were no object before the last was there.
        assert server.refused == []

    def test_put_that_is_broken_off_leaves_nothing_under_the_name(
        self, server: ObjectServer, kind: str, tmp_path: Path
    ) -> None:
        (tmp_path / "large").write_bytes(bytes(20 << 20))
        server.parts_taken = 1
        with pytest.raises(DataError):
            objects(server, kind).put(tmp_path / "large", parse_url(f"{BASES[kind]}/out/large"))
        assert server.containers["data"] == {}

    def test_duckdb_reads_a_folder_of_parquet_in_pieces(
        self, server: ObjectServer, kind: str, tmp_path: Path
    ) -> None:
        for number in range(2):
            file = tmp_path / f"{number}.parquet"
            duckdb.execute(
                "copy (select i as n, md5(i::varchar) as t, random() as r "  # noqa: S608 - ours
                f"from range({number * 60_000}, {(number + 1) * 60_000}) x(i)) "
                f"to '{file}' (format parquet, row_group_size 20000)"
            )
            server.put("data", f"in/{number}.parquet", file.read_bytes())
        whole = sum(len(one.data) for one in server.containers["data"].values())
        places = FileResolver(lambda: objects(server, kind), tmp_path)
        with closing(Tables(DuckDBEngine(tmp_path, memory="200MB"), files=places)) as tables:
            found = tables.find(tmp_path, f"{BASES[kind]}/in/")
            assert tables.open("rows", found, text=False) == ("n", "t", "r")
            server.requests.clear()
            server.sent = 0
            statement = "select count(*), min(n), max(n), max(_row), count(distinct _row) from rows"
            assert tables.rows(statement) == [(120_000, 0, 119_999, 120_000, 120_000)]
            # Of three columns one was asked for.
            assert 0 < server.sent < whole / 2
            assert tables.rows("select count(*) from rows where length(t) = 32") == [(120_000,)]
            sent = server.sent
            assert tables.rows("select count(*) from rows where length(t) = 32") == [(120_000,)]
            assert server.sent == sent

    def test_object_changed_while_it_is_read_is_named(
        self, server: ObjectServer, kind: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "a.parquet"
        duckdb.execute(
            f"copy (select i, md5(i::varchar) as t from range(200000) x(i)) to '{file}'"  # noqa: S608 - ours
        )
        server.put("data", "a.parquet", file.read_bytes())
        places = FileResolver(lambda: objects(server, kind), tmp_path)
        with closing(Tables(DuckDBEngine(tmp_path), files=places)) as tables:
            tables.open("rows", tables.find(tmp_path, f"{BASES[kind]}/a.parquet"), text=False)
            server.put("data", "a.parquet", file.read_bytes() + b"more")
            with pytest.raises(DataError, match=r"a\.parquet"):
                tables.rows("select sum(length(t)) from rows")

    @pytest.mark.parametrize(
        ("status", "told"),
        [
            (401, "access denied"),
            (403, "access denied"),
            (409, r"request refused \(409"),
            (503, r"request refused \(503"),
        ],
    )
    def test_find_that_a_store_refuses_says_why_and_tells_no_secret(
        self, server: ObjectServer, kind: str, status: int, told: str
    ) -> None:
        server.status = status
        with pytest.raises(DataError, match=told) as caught:
            objects(server, kind).find(parse_url(f"{BASES[kind]}/in/a.csv"))
        assert str(caught.value).startswith(f"{BASES[kind]}/in/a.csv: ")
        assert not any(secret in str(caught.value) for secret in (CANARY, KEY, "as asked"))

    def test_find_without_the_container_names_it(self, server: ObjectServer, kind: str) -> None:
        url = BASES[kind].replace("data", "nowhere")
        with pytest.raises(DataError, match="nowhere"):
            objects(server, kind).find(parse_url(f"{url}/a.csv"))

    def test_find_that_is_never_answered_gives_up(self, server: ObjectServer, kind: str) -> None:
        with server.silent():
            with pytest.raises(DataError, match="4 attempts"):
                objects(server, kind, timeout_seconds=0.1).find(parse_url(f"{BASES[kind]}/a.csv"))
            assert len(server.requests) >= 1

    def test_find_where_nobody_listens_gives_up(self, server: ObjectServer, kind: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{free.getsockname()[1]}"
        where = {f"{one}_endpoint": dead for one in KINDS}
        who = {**variables(server, kind), "STORAGE_EMULATOR_HOST": dead}
        port = objects(server, kind, who, **where, timeout_seconds=1)
        with pytest.raises(DataError, match="4 attempts of at most 1"):
            port.find(parse_url(f"{BASES[kind]}/a"))


def test_reader_shared_by_threads_keeps_a_position_for_each() -> None:
    data = bytes(range(100))
    url = parse_url("s3://data/a.parquet")
    file = RemoteFile(url=url, size=100, fetch=lambda _, start, end: data[start:end])
    files = RemoteFileSystem()
    files.files["s3://data/a.parquet"] = file
    reader = files.open("s3://data/a.parquet")
    reader.seek(10)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(reader.seek, 50).result()
        assert reader.read(3) == data[10:13]
        assert pool.submit(reader.read, 80).result() == data[50:]
    assert reader.read(2) == data[13:15]


# ── Mixed, damaged, CSV: the same faults as on this machine ───────────────────────────────────


def parquet(folder: Path, statement: str) -> bytes:
    file = folder / "made.parquet"
    duckdb.execute(f"copy ({statement}) to '{file}' (format parquet)")
    return file.read_bytes()


def count(tables: Tables, file: File) -> int:
    """The rows of a file; what is wrong with it is told when it is opened, or when it is read."""
    tables.open("rows", file)
    return tables.count("rows")


@pytest.mark.parametrize(
    ("held", "place", "told"),
    [
        ({"in/a.csv": b"x\n1\n"}, "/in/", "/in/: a folder without .parquet files"),
        ({"a.parquet": b"no parquet"}, "/a.parquet", "/a.parquet: not a Parquet file"),
        ({"a.parquet": b"PAR1damaged"}, "/a.parquet", "/a.parquet: cannot be read"),
        ({"a.csv": b""}, "/a.csv", "/a.csv: the file is empty"),
        ({"a.csv": b"x,y\n1\0,2\n"}, "/a.csv", "/a.csv: a NUL byte at byte 6"),
        ({"a.csv": b"x,y\n1,2\n1,2,3\n"}, "/a.csv", "/a.csv: line 3: found 3 fields"),
    ],
)
def test_open_of_what_cannot_be_read_names_the_url(
    server: ObjectServer, tmp_path: Path, held: dict[str, bytes], place: str, told: str
) -> None:
    for key, data in held.items():
        server.put("data", key, data)
    places = FileResolver(lambda: objects(server, "azure"), tmp_path)
    with closing(Tables(DuckDBEngine(tmp_path), files=places)) as tables:
        with pytest.raises(DataError) as caught:
            count(tables, tables.find(tmp_path, AZURE + place))
        assert f"{AZURE}{told}" in str(caught.value)


def test_open_of_mixed_schemas_below_a_prefix_names_object_and_column(
    server: ObjectServer, tmp_path: Path
) -> None:
    server.put("data", "in/1.parquet", parquet(tmp_path, "select 1 as n"))
    server.put("data", "in/2.parquet", parquet(tmp_path, "select 'x' as n"))
    places = FileResolver(lambda: objects(server, "gcs"), tmp_path)
    with closing(Tables(DuckDBEngine(tmp_path), files=places)) as tables:
        found = tables.find(tmp_path, "gs://data/in/")
        with pytest.raises(DataError, match=r"gs://data/in/2\.parquet: .*'n'.*VARCHAR"):
            tables.open("rows", found)


# ── Who is let in ─────────────────────────────────────────────────────────────────────────────


def test_azure_by_signature_by_token_and_by_a_foreign_key(server: ObjectServer) -> None:
    server.put("data", "a.csv", b"x")
    url = parse_url(f"{AZURE}/a.csv")
    signed = objects(server, "azure", {"AZURE_STORAGE_SAS_TOKEN": "?sv=2024-08-04&sig=good"})
    assert signed.find(url) is not None
    wrong = objects(server, "azure", {"AZURE_STORAGE_ACCOUNT_KEY": CANARY})
    with pytest.raises(DataError, match=r"access denied \(403"):
        wrong.find(url)
    # The key of another account is not shown to this one.
    other = {"AZURE_STORAGE_ACCOUNT_NAME": "another", "AZURE_STORAGE_ACCOUNT_KEY": KEY}
    asked = len(server.requests)
    with pytest.raises(DataError, match="AZURE_STORAGE_ACCOUNT_KEY"):
        ObstoreObjects(
            ObjectStores(azure_endpoint=server.azure),
            Authentication(method="azure_cli"),
            other,
        ).find(url)
    assert len(server.requests) == asked


def test_azure_without_a_key_shows_the_token_of_the_identity(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A managed identity as Azure's App Service provides it.
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret of this machine")
    server.put("data", "a.csv", b"x")
    stores = ObjectStores(azure_endpoint=server.azure)
    port = ObstoreObjects(stores, Authentication(method="managed_identity"), {})
    assert port.find(parse_url(f"{AZURE}/a.csv")) is not None
    assert server.authorizations[-1] == f"Bearer {TOKEN}"
    assert server.refused == []


def test_azure_without_an_account_says_how_to_name_it(server: ObjectServer) -> None:
    server.put("data", "a.csv", b"x")
    named = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}
    assert objects(server, "azure", named).find(parse_url("az://data/a.csv")) is not None
    with pytest.raises(DataError, match=r"AZURE_STORAGE_ACCOUNT_NAME.*abfss://"):
        objects(server, "azure", {}).find(parse_url("az://data/a.csv"))


def test_s3_without_credentials_says_which_are_looked_for(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone(monkeypatch, tmp_path)
    with pytest.raises(DataError, match="AWS_ACCESS_KEY_ID"):
        objects(server, "s3", {}).find(parse_url("s3://data/a.csv"))
    with pytest.raises(DataError, match="ProfileNotFound"):
        objects(server, "s3", {"AWS_PROFILE": "nobody"}).find(parse_url("s3://data/a.csv"))


def test_s3_by_a_profile_and_without_any_key(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone(monkeypatch, tmp_path)
    server.put("data", "a.csv", b"x")
    (tmp_path / "credentials").write_text(
        f"[brand]\naws_access_key_id = AKIDBRAND\naws_secret_access_key = {CANARY}\n"
        "region = eu-west-1\n"
    )
    url = parse_url("s3://data/a.csv")
    assert objects(server, "s3", {"AWS_PROFILE": "brand"}).find(url) is not None
    assert "AKIDBRAND" in server.authorizations[-1]
    assert "/eu-west-1/" in server.authorizations[-1]
    assert objects(server, "s3", {"AWS_SKIP_SIGNATURE": "true"}).find(url) is not None
    assert server.authorizations[-1] == ""


def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """An environment without any credentials of AWS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))


def test_gcs_with_a_broken_credentials_file_names_the_variable(
    server: ObjectServer, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    file.write_text(f'{{"type": "authorized_user", "client_secret": "{CANARY}"}}')
    found = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    with pytest.raises(DataError, match="GOOGLE_APPLICATION_CREDENTIALS") as caught:
        objects(server, "gcs", found, gcs_endpoint=server.url).find(parse_url("gs://data/a.csv"))
    assert CANARY not in str(caught.value)


def test_gcs_by_a_service_account_shows_its_token(server: ObjectServer, tmp_path: Path) -> None:
    server.put("data", "a.csv", b"x")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = {
        "type": "service_account",
        "client_email": "brand@example.iam.gserviceaccount.com",
        "token_uri": f"{server.url}/token",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    found = {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    port = objects(server, "gcs", found, gcs_endpoint=server.url)
    assert port.find(parse_url("gs://data/a.csv")) is not None
    assert server.authorizations[-1] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("package", "kind", "found"),
    [
        ("obstore.store", "s3", {}),
        ("botocore.session", "s3", {}),
        ("google.auth", "gcs", {"GOOGLE_APPLICATION_CREDENTIALS": "none"}),
    ],
)
def test_find_without_a_package_names_the_extra_that_brings_it(
    server: ObjectServer,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    kind: str,
    found: dict[str, str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"liftwright\[stores\]"):
        objects(server, kind, found).find(parse_url(f"{BASES[kind]}/a.csv"))
