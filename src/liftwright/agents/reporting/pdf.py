"""Typesets an executed notebook as an accessible PDF (PDF/UA-1) without its code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from liftwright.agents.reporting.style import STYLE
from liftwright.errors import LiftwrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from markdown_it.token import Token
    from nbformat import NotebookNode

FONTS = Path(__file__).parent / "fonts"
COVER, SIMULATED = "cover", "SIMULATED"
_WIDTH = re.compile(r'<svg[^>]*? width=\\"([0-9.]+)')
_PICTURE_POINTS, _PAGE_POINTS = 0.78, 480.0  # of a pixel, and of the line
_MAX_WORD = 26  # characters in a table cell; longer words may break anywhere
_MAX_UNBROKEN_ROWS = 16  # longer tables may break across pages
_MAX_UNBROKEN_CHARACTERS = 3000  # longer callouts may break across pages
_WIDE_COLUMN = 36  # columns with longer text share the remaining width


def to_pdf(notebook: NotebookNode, *, title: str, footer: str, made_at: datetime) -> bytes:
    """Typeset the output of a notebook.

    Args:
        notebook: executed; the cell tagged `cover` becomes the first page.
        title: the document's title in its metadata.
        footer: the footer of each page.
        made_at: the document's date; equal input gives equal bytes.
    """
    return _compile(typst_source(notebook, title=title, footer=footer), made_at)


def typst_source(notebook: NotebookNode, *, title: str, footer: str) -> str:
    """The notebook in Typst's language."""
    cells = [(_is_cover(cell), "\n\n".join(_cell(cell))) for cell in notebook.cells]
    cover = "\n".join(text for is_cover, text in cells if is_cover)
    body = "\n\n".join(text for is_cover, text in cells if not is_cover and text)
    return (
        f"#let footer-text = {_literal(footer)}\n#let document-title = {_literal(title)}\n"
        f"{STYLE}\n#cover-page[{cover}]\n#contents-page\n{body}\n"
    )


def _compile(source: str, made_at: datetime) -> bytes:
    import typst

    # Characters missing from our fonts (emoji, Chinese) need system fonts; if those lack them too,
    # the report is written without the accessibility standard.
    attempts: tuple[tuple[bool, Literal["ua-1"] | None], ...] = (
        (True, "ua-1"),
        (False, "ua-1"),
        (False, None),
    )
    fault = ""
    for ignore_system_fonts, standards in attempts:
        try:
            return bytes(
                typst.compile(  # type: ignore[misc] # its type of input cannot be inferred
                    source.encode(),
                    font_paths=[str(FONTS)],
                    ignore_system_fonts=ignore_system_fonts,
                    pdf_standards=standards,
                    timestamp=int(made_at.timestamp()),
                )
            )
        except typst.TypstError as error:
            fault = str(error).splitlines()[0]
    raise LiftwrightError(f"report: cannot typeset the PDF ({fault})")


def _is_cover(cell: NotebookNode) -> bool:
    return COVER in cell.metadata.get("tags", ())


def _cell(cell: NotebookNode) -> Iterator[str]:
    if cell.cell_type == "markdown":
        yield from _markdown(cell.source)
        return
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        if "text/markdown" in data:
            yield from _markdown("".join(data["text/markdown"]))
        elif "image/svg+xml" in data:
            alt = output.get("metadata", {}).get("image/svg+xml", {}).get("alt", "")
            picture = _literal("".join(data["image/svg+xml"]))
            width = _WIDTH.search(picture)
            points = float(width[1]) * _PICTURE_POINTS if width else _PAGE_POINTS
            yield (
                f"#picture(bytes({picture}), {_literal(alt)}, {min(points, _PAGE_POINTS):.1f}pt)"
            )


# ── Markdown to Typst ─────────────────────────────────────────────────────────────────────────


def _markdown(text: str) -> Iterator[str]:
    from markdown_it import MarkdownIt

    yield _blocks(MarkdownIt("commonmark").enable("table").parse(text))


def _blocks(tokens: Sequence[Token]) -> str:
    """Convert block tokens; each pair of opening and closing tokens becomes one call."""
    made: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        end = index
        if token.nesting == 1:
            end = _closing(tokens, index)
            block = _block(token, tokens[index + 1 : end])
            led = token.type == "paragraph_open" and _is_table(tokens, end + 1)
            made.append(f"#block(sticky: true)[{block}]" if led else block)
        elif token.type == "inline":
            made.append(_inline(token.children or []))
        elif token.type in ("fence", "code_block", "html_block"):
            made.append(f"#raw({_literal(token.content.rstrip())}, block: true);")
        index = end + 1
    return "\n\n".join(made)


def _is_table(tokens: Sequence[Token], index: int) -> bool:
    return index < len(tokens) and tokens[index].type == "table_open"


def _block(token: Token, inside: Sequence[Token]) -> str:
    kind = token.type.removesuffix("_open")
    if kind == "table":
        return _table(inside)
    content = _blocks(inside)
    if kind == "heading":
        level = int(token.tag[1]) - 1
        if not level:
            return f"#report-title[{content}]"
        return f"#heading(level: {level})[{content}]"
    if kind in ("bullet_list", "ordered_list"):
        call = "list" if kind == "bullet_list" else "enum"
        return f"#{call}{''.join(f'[{item}]' for item in _items(inside))};"
    if kind == "blockquote":
        whole = str(len(content) <= _MAX_UNBROKEN_CHARACTERS).lower()
        tone = "warm" if f'"{SIMULATED}' in content else "accent"
        return f"#callout(whole: {whole}, tone: {tone})[{content}]"
    return f"#par[{content}]" if kind == "paragraph" and not token.hidden else content


def _items(tokens: Sequence[Token]) -> Iterator[str]:
    index = 0
    while index < len(tokens):
        end = _closing(tokens, index)
        yield _blocks(tokens[index + 1 : end])
        index = end + 1


def _table(tokens: Sequence[Token]) -> str:
    rows: list[list[tuple[Token, str]]] = []
    aligned: list[str] = []
    for index, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            inline = tokens[index + 1]
            rows[-1].append((inline, _inline(inline.children or [], _MAX_WORD)))
            if len(rows) == 1:
                aligned.append("right" if "right" in str(token.attrs.get("style")) else "left")
    widths = [max(len(row[at][0].content) for row in rows) for at in range(len(aligned))]
    columns = ", ".join("1fr" if width > _WIDE_COLUMN else "auto" for width in widths)
    head, *body = ["".join(f"[{text}], " for _, text in row) for row in rows]
    whole = str(len(body) <= _MAX_UNBROKEN_ROWS).lower()
    return (
        f"#report-table(whole: {whole}, columns: ({columns},), align: ({', '.join(aligned)},), "
        f"table.header({head}), {''.join(body)})"
    )


def _closing(tokens: Sequence[Token], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        depth += tokens[index].nesting
        if not depth:
            return index
    raise LiftwrightError("report: unclosed Markdown block")


_MARKS = {"strong_open": "#strong[", "em_open": "#emph["}
_PLAIN: dict[str, Callable[[Token], str]] = {
    "softbreak": lambda _: '#" ";',
    "hardbreak": lambda _: "#linebreak();",
    "code_inline": lambda token: f"#raw({_literal(token.content)});",
}


def _inline(tokens: Sequence[Token], longest: int = 0) -> str:
    made = []
    for token in tokens:
        if token.type in _MARKS:
            made.append(_MARKS[token.type])
        elif token.type in ("strong_close", "em_close"):
            made.append("];")
        elif token.type in _PLAIN:
            made.append(_PLAIN[token.type](token))
        elif token.content:
            # A string literal, so that Typst interprets nothing in it.
            made.append(f"#{_literal(_breakable(token.content, longest))};")
    return "".join(made)


def _breakable(text: str, longest: int) -> str:
    if not longest:
        return text
    return " ".join(
        "\u200b".join(word[at : at + longest] for at in range(0, len(word), longest)) or word
        for word in text.split(" ")
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for control, name in (("\n", "\\n"), ("\r", ""), ("\t", "\\t")):
        escaped = escaped.replace(control, name)
    return f'"{"".join(c for c in escaped if c.isprintable() or c in _KEPT_CHARACTERS)}"'


# Joiners, spaces and breaks that some scripts need; other unprintable characters are dropped.
_KEPT_CHARACTERS = "\u200b\u200c\u200d\u00a0\u00ad\u2028\u3000\u202f\u2009"
