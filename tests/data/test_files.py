"""Table files as people have them, read through `Tables`, the one way to every table."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import zipfile
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import pytest

from liftwright.config import FileOptions
from liftwright.errors import DataError
from plane_samples import open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from liftwright.data import Tables

PLAIN = "id,name,n\nA1,Zoë,1\nA2,Jürgen,2\n"
ROWS = [("A1", "Zoë", "1"), ("A2", "Jürgen", "2")]
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    made = open_tables(tmp_path_factory.mktemp("plane"))
    yield made
    made.close()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            # Without the time of writing, so that every process has the same parameters.
            info = zipfile.ZipInfo(name.replace("_dot_", ".").replace("_in_", "/"))
            archive.writestr(info, content)
    return out.getvalue()


def workbook(**sheets: Sequence[Sequence[str | float]]) -> bytes:
    """A minimal workbook; numbers are numbers, and texts that begin with @ are dates."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="r" '
        f'Type="{kind}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs><xf numFmtId="0"/>'
        '<xf numFmtId="14"/></cellXfs></styleSheet>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kind}"><sheets>'
        + "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="s{n}"/>' for n, name in enumerate(sheets, 1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}">'
        f'<Relationship Id="st" Type="{kind}/styles" Target="styles.xml"/>'
        + "".join(
            f'<Relationship Id="s{n}" Type="{kind}/worksheet" Target="{n}.xml"/>'
            for n, _ in enumerate(sheets, 1)
        )
        + "</Relationships>",
    }
    for n, rows in enumerate(sheets.values(), 1):
        lines = "".join(
            f'<row r="{y}">' + "".join(cell(x, y, value) for x, value in enumerate(row)) + "</row>"
            for y, row in enumerate(rows, 1)
        )
        parts[f"xl/{n}.xml"] = f"{SHEET}{lines}</sheetData></worksheet>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name), f'<?xml version="1.0"?>{text}')
    return out.getvalue()


def cell(x: int, y: int, value: str | float) -> str:
    at = f"{chr(65 + x)}{y}"
    if isinstance(value, str) and not value.startswith("@"):
        return f'<c r="{at}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    style = ' s="1"' if isinstance(value, str) else ""
    return f'<c r="{at}"{style}><v>{str(value).removeprefix("@")}</v></c>'


BOOK = workbook(
    Notes=[["About this file"]],
    Customers=[
        ["Customer report"],
        [],
        ["id", "name", "seen", "n", ""],
        [10000000123.0, "Zoë", "@45982", 1.5],
        ["007", "Jürgen", "@45982.25", 12345678901234567.0],
        [],
        ["Total: 2 rows"],
    ],
)
BOOK_ROWS = [
    ("10000000123", "Zoë", "2025-11-21", "1.5"),
    ("007", "Jürgen", "2025-11-21 06:00:00", "1.23456789012346E+16"),
]


def opened(
    tables: Tables, folder: Path, content: bytes, options: dict[str, Any] | None = None
) -> tuple[tuple[str, ...], list[tuple[object, ...]], str]:
    """The columns, the rows without their numbers, and the warnings."""
    file = folder / "file.csv"
    file.write_bytes(content)
    before = len(tables.warnings)
    names = tables.open("opened", file, options=FileOptions.model_validate(options or {}))
    rows = [tuple(row)[1:] for row in tables.rows("select * from opened order by _row")]
    return names, rows, "; ".join(tables.warnings[before:])


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (PLAIN.encode("utf-16"), {}, "read as UTF-16"),
        (PLAIN.encode("utf-16-le"), {}, "read as UTF-16"),
        (PLAIN.encode("utf-16-be"), {}, "read as UTF-16"),
        ((PLAIN + "Total: 2\n").encode("utf-16"), {}, "the last 1 row is a footer"),
        (PLAIN.encode("cp1252"), {}, "Windows-1252"),
        (PLAIN.encode("mac_roman"), {"encoding": "mac_roman"}, ""),
        (PLAIN.encode("utf-8-sig"), {"encoding": "utf-8"}, ""),
        (gzip.compress(PLAIN.encode(), mtime=0), {}, ""),
        (bz2.compress(PLAIN.encode()), {}, ""),
        (lzma.compress(PLAIN.encode("cp1252")), {}, "Windows-1252"),
        (zipped(a_dot_csv=PLAIN.encode(), __MACOSX_in__dot__a_dot_csv=b"x"), {}, ""),
        (zipped(a_dot_csv=PLAIN.encode(), readme_dot_md=b"x"), {}, ""),
        (PLAIN.replace(",", "#").encode(), {"delimiter": "#"}, ""),
        (b"sep=;\r\n" + PLAIN.replace(",", ";").encode(), {}, "the line sep= is skipped"),
        (b"Report\nfrom 2026-01-02\n\n" + PLAIN.encode(), {}, "3 rows before the header in row 4"),
        (b"Report,,\nUntil,2026-01-02,\n" + PLAIN.encode(), {}, "2 rows before the header"),
        (b"a,b,c\nd,e,f\n" + PLAIN.encode(), {"skip_rows": 2}, ""),
        (PLAIN.encode() + b",,\n,,\n", {}, ""),
        (PLAIN.encode() + b"Total: 2 rows\n", {}, "the last 1 row is a footer"),
        (PLAIN.encode() + b"\nGenerated by Shop on Monday\n", {}, "the last 1 row is a footer"),
        (PLAIN.encode() + b"Total,,3\n", {}, "the last 1 row is a footer"),
        (PLAIN.encode() + b",,\nSumme,,3\nEnd of report,,\n", {}, "the last 2 rows are a footer"),
        (PLAIN.replace("\n", ",,\n").encode(), {}, "2 columns have neither a name nor values"),
        (PLAIN.replace("n\n", "n,,\n", 1).encode(), {}, "2 columns have neither a name nor values"),
        (PLAIN.replace("Zoë", '"Zoë"').replace("\n", "\r").encode(), {}, ""),
    ],
    ids=map(str, itertools.count()),
)
def test_open_file_as_people_have_them_gives_its_rows(
    tables: Tables, tmp_path: Path, content: bytes, options: dict[str, Any], said: str
) -> None:
    names, rows, warnings = opened(tables, tmp_path, content, options)
    assert (names, rows) == (("id", "name", "n"), ROWS)
    assert said in warnings
    assert bool(said) or not warnings
    assert "backslash" not in warnings


def test_open_shift_jis_by_its_key_gives_japanese(tables: Tables, tmp_path: Path) -> None:
    content = "番号,都市\n①,東京ソ\n".encode("cp932")
    names, rows, _ = opened(tables, tmp_path, content, {"encoding": "shift_jis"})
    assert (names, rows) == (("番号", "都市"), [("①", "東京ソ")])


@pytest.mark.parametrize(
    "content",
    [
        rb'A1,"say \"hi\", twice",\N' + b"\n" + rb"A2,C:\\dir,2",
        rb'A1,"say ""hi"", twice",' + b"\n" + rb'A2,"C:\dir",2',
    ],
)
def test_open_backslash_escapes_only_where_it_must(
    tables: Tables, tmp_path: Path, content: bytes
) -> None:
    _, found, _ = opened(tables, tmp_path, b"id,name,n\n" + content + b"\n")
    assert found == [("A1", 'say "hi", twice', None), ("A2", r"C:\dir", "2")]


def test_open_columns_with_equal_names_are_told_apart(tables: Tables, tmp_path: Path) -> None:
    names, rows, warnings = opened(tables, tmp_path, b"id,Note,n,NOTE\n1,a,2,b\n")
    assert names == ("id", "Note (column 2)", "n", "NOTE (column 4)")
    assert rows == [("1", "a", "2", "b")]
    assert "'Note' or 'NOTE'" in warnings


@pytest.mark.parametrize("content", [BOOK, zipped(book_dot_xlsx=BOOK)], ids=["xlsx", "zip"])
@pytest.mark.parametrize("options", [{}, {"sheet": "Customers"}])
def test_open_spreadsheet_gives_the_rows_of_a_sheet(
    tables: Tables, tmp_path: Path, content: bytes, options: dict[str, Any]
) -> None:
    names, rows, warnings = opened(tables, tmp_path, content, options)
    assert (names, rows) == (("id", "name", "seen", "n"), BOOK_ROWS)
    assert "the sheet 'Customers' is read" in warnings
    assert "row 3" in warnings
    assert "footer" in warnings


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (zipped(a_dot_csv=b"x", b_dot_csv=b"y"), {}, "a.csv, b.csv"),
        (zipped(folder_in_=b""), {}, "no file"),
        (workbook(A=[["x"], ["1"]], B=[["y"], ["2"]]), {}, "A, B"),
        (BOOK, {"sheet": "customers"}, "Notes, Customers"),
        (PLAIN.encode(), {"sheet": "Customers"}, "sheet"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], {}, "damaged"),
        (BOOK[: len(BOOK) // 2], {}, "damaged"),
        ("id,name,n\n1,東京,2\n".encode("cp932"), {}, "encoding"),
        ("id,name,n\n1,Orléans Médoc,2\n".encode("mac_roman"), {}, "encoding"),
        (PLAIN.encode("cp1252"), {"encoding": "shift_jis"}, "Shift-JIS"),
        (PLAIN.encode(), {"encoding": "mac_roman"}, "UTF-8"),
        (PLAIN.encode(), {"encoding": "utf-16"}, "UTF-8"),
        (PLAIN.encode("cp1252"), {"encoding": "utf-8"}, "not UTF-8"),
        (b"Report\n\n" + PLAIN.encode() + b"A3,x\n", {}, "line 6: found 2 fields"),
        (PLAIN.encode("cp1252") + b'A3,"x,1\n', {}, "a quote"),
        (b"id,,n,\n1,x,2,\n", {}, "column 2 has no name"),
        (b"id,n,\n" + b"1,2,\n" * 60 + b"1,2,3\n", {}, "line 62: column 3 has a value"),
        (PLAIN.encode("cp1252"), {"skip_rows": 9}, "line 10 is blank"),
        (b"id,name,n\nTotal: 0 rows\n", {}, "no rows"),
    ],
    ids=map(str, itertools.count()),
)
def test_open_file_that_cannot_be_read_without_guessing_is_refused(
    tables: Tables, tmp_path: Path, content: bytes, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as raised:
        opened(tables, tmp_path, content, options)
    assert said in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "file.csv"))
