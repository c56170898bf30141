"""Reads the text of HTML, Markdown, Word, plain text and PDF files.

The text of every format is the same light Markdown: paragraphs parted by blank lines, `## Heading`
lines, `- item` and `1. item` lines, and `| cell | cell |` rows. Links, emphasis and images are
reduced to their text; comments, scripts and hidden elements are no text.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from typing import TYPE_CHECKING

from liftwright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bs4 import BeautifulSoup

__all__ = ["FORMATS", "has_markup", "html_text", "markdown_text", "plain_text", "read_format"]

FORMATS = (".docx", ".htm", ".html", ".pdf", ".txt")
"""The suffixes that `read_format` reads."""

_KEPT_TAGS = """article aside blockquote br caption dd div dl dt figcaption footer h1 h2 h3 h4 h5 h6
    header hr li main ol p section table td th tr ul""".split()  # noqa: SIM905 - read as a text
_MARKUP = re.compile(
    r"<!--|<!doctype|&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});"
    r"|</?(?:a|abbr|article|b|big|blockquote|body|br|center|code|div|em|font|footer|h[1-6]|head|header"
    r"|hr|html|i|img|li|main|ol|p|pre|s|script|section|small|span|strike|strong|style|sub|sup|table"
    r"|tbody|td|tfoot|th|thead|tr|u|ul)\b[^<>]*>",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"\s*<(?:!|/?(?:article|body|div|h[1-6]|html|main|ol|p|section|table|ul)\b)", re.IGNORECASE
)
_COMMENT = re.compile(r"[ \t]*<!--.*?(?:-->|\Z)[ \t]*", re.DOTALL)
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE
)
_HEADING = re.compile(r"#{1,6}[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*$")
_MAILCHIMP_TAG = re.compile(r"\*\|([^|\n]{1,60})\|\*")
_COLUMN_GAP = re.compile(r" {3,}")
_NUMBER = re.compile(r"\d{1,2}[.)]\s+\S")
_BULLET = re.compile(r"[^\w\s|(\[\"'\u201c\u201e\u00ab\u20ac\u00a3$+]\s+(?=\S)")
_FAR_BULLET = re.compile(r"^(\d{1,2}[.)]|[^\w\s])\s+(?=\S)")
_LONGEST_TITLE = 12
# A line is full, and its paragraph goes on, from this share of the longest line.
_FULL_LINE = 0.6
# Word's own style for the title of a document is no heading to the converter.
_WORD_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


def read_format(file: Path) -> tuple[str | None, str]:
    """The title and text of a file; the title is None if the file has no heading.

    Raises:
        DataError: the file cannot be read or has no text.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    suffix = file.suffix.lower()
    if suffix == ".txt":
        title, text = _first_line(_decoded(data))
    elif suffix == ".pdf":
        title, text = _first_line(_pdf_text(file, data))
    else:
        title, text = html_text(_word_html(file, data) if suffix == ".docx" else data)
    if not any(map(str.isalnum, text)):
        hint = "; a scanned PDF needs text recognition (OCR) first" if suffix == ".pdf" else ""
        raise DataError(f"{file}: has no text{hint}")
    return title, text


def has_markup(text: str) -> bool:
    """Whether a text has HTML tags, comments or entities."""
    return _MARKUP.search(text) is not None


def plain_text(text: str) -> str:
    """A text without its HTML; blank lines between paragraphs stay."""
    if not has_markup(text):
        return text
    if _BLOCK.match(text):
        return _text(text)
    # Comments and lists can hold blank lines; paragraphs of text that hold markup are read alone.
    text = _COMMENT.sub(" ", text)
    parts = _BLANK_LINES.split(text)
    return "\n\n".join(_text(_with_breaks(part)) if has_markup(part) else part for part in parts)


def _with_breaks(part: str) -> str:
    """Lines of text, such as list items and table rows, stay lines."""
    return part if _BLOCK.search(part) else part.replace("\n", "<br>")


def html_text(html: str | bytes) -> tuple[str | None, str]:
    """The title and text of an HTML page; the title is the first heading, or that of the page."""
    soup = _parsed(html)
    name = " ".join(soup.title.get_text().split()) if soup.title else ""
    title, text = _titled(_converted(soup))
    return title or name or None, text


def markdown_text(markdown: str) -> tuple[str | None, str]:
    """The title (the first heading) and text of Markdown."""
    from markdown_it import MarkdownIt

    # The merge tag *|NAME|* is no emphasis.
    source = _MAILCHIMP_TAG.sub(r"\\*|\1|\\*", markdown)
    html = MarkdownIt("commonmark").enable("table").render(source)
    return _titled(_text(html))


def _text(html: str) -> str:
    return _converted(_parsed(html))


def _parsed(html: str | bytes) -> BeautifulSoup:
    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        # Short texts look like file names to the library, and XHTML like other XML.
        warnings.simplefilter("ignore")
        return BeautifulSoup(html, "html.parser")


def _converted(soup: BeautifulSoup) -> str:
    from bs4.element import NavigableString, PreformattedString
    from markdownify import MarkdownConverter

    for tag in soup(["head", "nav", "noscript", "script", "style", "svg", "template", "title"]):
        tag.decompose()
    for tag in soup.find_all(_is_hidden):
        tag.decompose()
    for string in list(soup.find_all(string=True)):
        if isinstance(string, PreformattedString):
            string.extract()
        elif string.find_parent("pre") is None:
            string.replace_with(NavigableString(re.sub(r"[\s\xa0]+", " ", string)))
    converter = MarkdownConverter(
        bullets="-",
        convert=_KEPT_TAGS,
        escape_asterisks=False,
        escape_misc=False,
        escape_underscores=False,
        heading_style="ATX",
        table_infer_header=True,
    )
    lines = [line.rstrip() for line in converter.convert_soup(soup).split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def _is_hidden(tag: object) -> bool:
    attributes = getattr(tag, "attrs", None) or {}
    return "hidden" in attributes or bool(_HIDDEN.search(str(attributes.get("style", ""))))


def _titled(text: str) -> tuple[str | None, str]:
    """The first heading, and the text with all other headings as `## Heading`."""
    title, lines = None, []
    for line in text.split("\n"):
        heading = _HEADING.match(line)
        if heading is None:
            lines.append(line)
        elif title is None:
            title = heading[1]
            # A heading below other text is a section's too.
            lines += [f"## {title}"] if any(map(str.strip, lines)) else []
        else:
            lines.append(f"## {heading[1]}")
    return title, "\n".join(lines).strip()


def _first_line(text: str) -> tuple[str | None, str]:
    """The first line as the title if it looks like one, and the other text."""
    head, *others = _BLANK_LINES.split(text.strip(), maxsplit=1)
    is_title = (
        others
        and "\n" not in head
        and len(head.split()) <= _LONGEST_TITLE
        and head[-1:] not in ".!?:;,|"
    )
    return (head, others[0]) if is_title else (None, text)


def _decoded(data: bytes) -> str:
    """The text of a file in UTF-8, UTF-16 with a mark, or else Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _word_html(file: Path, data: bytes) -> str:
    import mammoth

    try:
        # Pictures are left out: a reader of the text cannot see them.
        result = mammoth.convert_to_html(
            io.BytesIO(data), style_map=_WORD_STYLES, convert_image=lambda _: []
        )
    except Exception as error:  # noqa: BLE001 - the library raises whatever a damaged file causes
        raise DataError(f"{file}: is no readable Word document ({type(error).__name__})") from None
    return str(result.value)


def _pdf_text(file: Path, data: bytes) -> str:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(data))
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = [] if locked else [_page_lines(page.extract_text(extraction_mode="layout"))
                                   for page in reader.pages]  # fmt: skip
    except Exception as error:  # noqa: BLE001 - the library raises whatever a damaged file causes
        raise DataError(f"{file}: is no readable PDF ({type(error).__name__})") from None
    if locked:
        raise DataError(f"{file}: is protected by a password")
    return "\n\n".join(page for page in pages if page)


def _page_lines(page: str) -> str:
    """A page's text with one line for each paragraph, list item and table row."""
    rows = [line.strip() for line in page.split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(_joined(rows))).strip()


def _joined(rows: list[str]) -> Iterator[str]:
    """Paragraphs, list items and table rows, each block between blank lines."""
    width = max((len(row) for row in rows), default=0)
    rows = [_FAR_BULLET.sub(r"\1 ", row) for row in rows]
    cells = [_COLUMN_GAP.split(row) for row in rows]
    paragraph = kind = ""
    for number, row in enumerate(rows):
        near = [*cells[max(0, number - 1) : number], *cells[number + 1 : number + 2]]
        is_table = len(cells[number]) > 1 and any(
            len(other) == len(cells[number]) for other in near
        )
        is_item = bool(_BULLET.match(row) or _NUMBER.match(row))
        new_kind = "table" if is_table else "list" if is_item else "text" if row else ""
        # A line of text below a list item continues it, unless the item's line was short.
        if paragraph and (new_kind != "text"):
            yield paragraph
            paragraph = ""
        if new_kind != kind and not paragraph:
            yield ""
        kind = new_kind if not paragraph else kind
        if is_table:
            yield f"| {' | '.join(cells[number])} |"
        elif row:
            text = re.sub(r" {2,}", " ", row)
            text = _BULLET.sub("- ", text, count=1) if is_item else text
            paragraph = f"{paragraph} {text}".strip()
            # A short line ends its paragraph.
            if len(row) < _FULL_LINE * width:
                yield paragraph
                paragraph = ""
    if paragraph:
        yield paragraph
