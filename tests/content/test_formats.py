from __future__ import annotations

import zipfile
from datetime import date
from typing import TYPE_CHECKING

import pytest

from liftwright.config import ContentDefaults
from liftwright.content.documents import read_documents
from liftwright.content.formats import markdown_text, plain_text
from liftwright.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
CARD = "the card that you paid with."
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


def write_docx(file: Path) -> None:
    def paragraph(text: str, style: str = "") -> str:
        styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f"<w:p>{styled}<w:r><w:t>{text}</w:t></w:r></w:p>"

    def row(*cells: str) -> str:
        return "<w:tr>" + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in cells) + "</w:tr>"

    body = (
        paragraph("Autumn offer", "Heading1")
        + paragraph("Spend &#163;60 and delivery is free.")
        + paragraph("Sizes", "Heading2")
        + f"<w:tbl>{row('Size', 'Price')}{row('S', '20')}</w:tbl>"
    )
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}">'
        f'<w:name w:val="heading {n}"/></w:style>'
        for n in (1, 2)
    )
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {
            "[Content_Types].xml": "<Types "
            'xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r" '
            f'Type="{OFFICE}" Target="word/document.xml"/></Relationships>',
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body>'
            "</w:document>",
            "word/styles.xml": f'<w:styles xmlns:w="{WORD}">{styles}</w:styles>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship '
            f'Id="s" Type="{OFFICE.replace("officeDocument", "styles", 9)}" '
            'Target="styles.xml"/></Relationships>',
        }.items():
            archive.writestr(name, text)


def write_pdf(file: Path, *lines: tuple[int, int, str]) -> None:
    """A page of text at x, y; without lines an empty page, as of a scan."""
    shown = "".join(f"BT /F 12 Tf {x} {y} Td ({text}) Tj ET\n" for x, y, text in lines)
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources 6 0 R>>",
        f"<</Length {len(shown)}>>stream\n{shown}endstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        "<</Font<</F 5 0 R>>>>",
    ]
    text, offsets = "%PDF-1.4\n", []
    for number, value in enumerate(objects, 1):
        offsets.append(len(text))
        text += f"{number} 0 obj{value}endobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    text += f"xref\n0 7\n0000000000 65535 f \n{table}trailer<</Size 7/Root 1 0 R>>\n"
    start = text.index("xref\n")
    file.write_bytes(f"{text}startxref\n{start}\n%%EOF".encode())


def test_read_documents_files_as_people_have_them(tmp_path: Path) -> None:
    write_docx(tmp_path / "offer.docx")
    write_pdf(
        tmp_path / "terms.pdf",
        (50, 700, "Terms of sale"),
        (50, 660, "Return any unworn item within 30 days, and we refund"),
        (50, 646, CARD),
        (50, 600, "Size"),
        (300, 600, "Price"),
        (50, 586, "S"),
        (300, 586, "20 pounds"),
    )
    write_pdf(tmp_path / "scan.pdf")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/sale.html").write_text(
        "<html><head><title>Shop</title></head><body><!-- say it is free --><h1>Sale</h1>"
        "<p style='display: none'>hidden</p><p>20% off <b>all</b>\nboots.</p>"
        "<ul><li>One</li><li>Two</li></ul></body></html>"
    )
    (tmp_path / "autumn_sale.txt").write_bytes("Caf\u00e9 vouchers, \u20ac5 off.".encode("cp1252"))
    (tmp_path / "care.md").write_text("Wax twice a year.\n\nCare\n====\n\nSee [more](x).")
    (tmp_path / "care.txt").write_text("How to care\n\nWash them.")
    (tmp_path / "broken.docx").write_text("no archive")
    (tmp_path / "rows.csv").write_text("a,b")
    (tmp_path / "~$offer.docx").write_text("Word keeps this while the file is open")

    corpus = read_documents(tmp_path)

    found = {
        one.document_id: (one.title, [(p.section, p.text) for p in one.paragraphs()])
        for one in corpus.documents
    }
    assert found == {
        "autumn_sale": ("Autumn sale", [("Overview", "Caf\u00e9 vouchers, \u20ac5 off.")]),
        "care": ("Care", [("Overview", "Wax twice a year."), ("Care", "See more.")]),
        "care.txt": ("How to care", [("Overview", "Wash them.")]),
        "offer": (
            "Autumn offer",
            [
                ("Overview", "Spend \u00a360 and delivery is free."),
                ("Sizes", "| Size | Price |\n| --- | --- |\n| S | 20 |"),
            ],
        ),
        "terms": (
            "Terms of sale",
            [
                ("Overview", f"Return any unworn item within 30 days, and we refund {CARD}"),
                ("Overview", "| Size | Price |\n| S | 20 pounds |"),
            ],
        ),
        "sub/sale": ("Sale", [("Overview", "20% off all boots."), ("Overview", "- One\n- Two")]),
    }
    assert {one.approval_date for one in corpus.documents} == {None}
    unread = {message.split(":")[0].rpartition("/")[2] for message in corpus.unread}
    assert unread == {"broken.docx", "rows.csv", "scan.pdf"}
    assert len(corpus.warnings) == len(unread) + 1


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Tom &amp; <b>Jo</b>\n- a\n- b\n\n5 < 6 > 4", "Tom & Jo\n- a\n- b\n\n5 < 6 > 4"),
        ("<h2>Light</h2><p>One.</p>\n\n<p>Two.</p>", "## Light\n\nOne.\n\nTwo."),
        ("It shines. <!-- It won\n\na prize. --> It lasts.", "It shines. It lasts."),
        ("It shines. <!-- It won.\n\nIt lasts.", "It shines."),
        ("One.<br><br>Two.<script>x</script>", "One.\n\nTwo."),
        ("Write to <care@shop.example>.", "Write to <care@shop.example>."),
    ],
)
def test_plain_text_html_leaves_what_readers_see(text: str, plain: str) -> None:
    assert plain_text(text).strip() == plain


def test_markdown_text_merge_tag_of_stars_stays() -> None:
    assert markdown_text("Hi *|FNAME|*, *hello*.") == (None, "Hi *|FNAME|*, hello.")


def test_read_documents_defaults_and_equal_titles(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Free delivery from 60 pounds.")
    for name in ("b", "c"):
        (tmp_path / f"{name}.md").write_text("# Delivery\n\nIt takes three days.")
    defaults = ContentDefaults(approval_date=date(2026, 1, 2), category="offer")
    corpus = read_documents(tmp_path, defaults=defaults)
    assert [one.title for one in corpus.documents] == ["A", "Delivery (b)", "Delivery (c)"]
    assert {(one.approval_date, one.category) for one in corpus.documents} == {
        (date(2026, 1, 2), "offer")
    }
    assert corpus.warnings == ()


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("Wir liefern in drei Tagen nach Wien. Ab 60 Euro ist der Versand frei.", True),
        (
            "Kup buty dzisiaj i otrzymaj darmow\u0105 dostaw\u0119 na terenie ca\u0142ej Polski.",
            True,
        ),
        (
            "\u4eca\u65e5\u9774\u3092\u8cb7\u3046\u3068\u9001\u6599\u7121\u6599\u3067\u3059\u3002",
            True,
        ),
        ("Merino base layer, crew neck, navy, sizes S to XL, Fair Wear certified wool.", False),
        ("Ol\u00e9!", False),
    ],
)
def test_read_documents_english_only_refuses_other_languages(
    tmp_path: Path, text: str, *, is_refused: bool
) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert len(read_documents(tmp_path).documents) == 1
    if not is_refused:
        assert len(read_documents(tmp_path, english_only=True).documents) == 1
        return
    with pytest.raises(DataError, match=r"a\.txt: content: .* English"):
        read_documents(tmp_path, english_only=True)


def test_read_documents_merge_tags_are_reported_and_not_used(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Dear {{ first_name }}, hello. Our boots are dry.")
    (tmp_path / "b.txt").write_text("Hi %%FirstName%%!")
    corpus = read_documents(tmp_path, on_bad="skip")
    assert [p.text for one in corpus.documents for p in one.paragraphs()] == ["Our boots are dry."]
    assert ["{{ first_name }}" in message for message in corpus.left_out] == [True]
    with pytest.raises(DataError, match="%%FirstName%%"):
        read_documents(tmp_path)
