"""Real content that nobody wrote for this project, as approved documents.

A shop's pages (HTML) and a retailer's guidelines for its staff become the documents that a
workspace reads. Their words are kept; only markup is removed.
"""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    Record = dict[str, Any]

APPROVED = "2026-01-15"

_HEADINGS = frozenset({"h1", "h2", "h3", "h4"})
_PARAGRAPHS = frozenset({"p", "div", "table", "caption"})
_LINES = frozenset({"li", "tr"})
_SPACES = frozenset({"br", "td", "th"})
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
# Menus repeat the headings and say nothing.
_MENU = "block-collapsible-nav"
# The ends of a link's text while a page is read: an item that is a link alone belongs to a menu.
_LINK_ENDS = "\x02", "\x03"
_LINK_ITEM = re.compile("- \x02[^\x03]*\x03")


class _Page(HTMLParser):
    """The headings and paragraphs of a page, in order; items and rows are a paragraph's lines."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sections: list[tuple[str | None, list[str]]] = [(None, [])]
        self._lines: list[str] = [""]
        self._menu_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._menu_depth or _MENU in (dict(attrs).get("class") or ""):
            self._menu_depth += tag not in _VOID
        elif tag in _SPACES:
            self._lines[-1] += " "
        elif tag == "a":
            self._lines[-1] += _LINK_ENDS[0]
        elif tag in _LINES:
            self._lines.append("- " if tag == "li" else "")
        elif tag in _HEADINGS or tag in _PARAGRAPHS:
            self._paragraph()

    def handle_endtag(self, tag: str) -> None:
        if self._menu_depth:
            self._menu_depth -= 1
        elif tag == "a":
            self._lines[-1] += _LINK_ENDS[1]
        elif tag in _HEADINGS:
            self.sections.append((self._taken().rstrip(".") or None, []))
        elif tag in _PARAGRAPHS:
            self._paragraph()

    def handle_data(self, data: str) -> None:
        if not self._menu_depth:
            self._lines[-1] += data

    def close(self) -> None:
        super().close()
        self._paragraph()

    def _taken(self) -> str:
        lines = [" ".join(line.split()) for line in self._lines]
        self._lines = [""]
        kept = "\n".join(line for line in lines if line and not _LINK_ITEM.fullmatch(line))
        return kept.replace(_LINK_ENDS[0], "").replace(_LINK_ENDS[1], "")

    def _paragraph(self) -> None:
        text = self._taken()
        if text:
            self.sections[-1][1].append(text)


def page_documents(pages: Path) -> list[Record]:
    """A shop's pages, from a CSV with title, identifier and HTML: a document for each section."""
    with pages.open(encoding="utf-8", newline="") as stream:
        return [document for row in csv.DictReader(stream) for document in _sections(row)]


def _sections(row: Mapping[str, str]) -> Iterable[Record]:
    page = _Page()
    page.feed(row["content"])
    page.close()
    for heading, paragraphs in page.sections:
        if paragraphs:
            title = heading or row["title"]
            sections = [(row["title"] if heading else "Overview", paragraphs)]
            yield _document(_slug(f"{row['identifier']} {title}"), title, "brand", sections)


def guideline_documents(guidelines: Path) -> list[Record]:
    """A retailer's guidelines for its staff, a document for each topic, as they are written."""
    topics = json.loads(guidelines.read_text(encoding="utf-8"))
    return [
        _document(
            _slug(topic),
            topic,
            "policy",
            [(name, list(_statements(flow))) for name, flow in found["subflows"].items()],
        )
        for topic, found in topics.items()
    ]


def _statements(flow: Mapping[str, Any]) -> Iterable[str]:
    yield " ".join(flow["instructions"])
    for action in flow["actions"]:
        yield "\n".join((action["text"], *action["subtext"]))


def write_documents(folder: Path, documents: Iterable[Record]) -> None:
    """Make the folder hold these documents and no others, a JSON file for each."""
    for file in folder.glob("*.json"):
        file.unlink()
    for document in documents:
        text = json.dumps(document, ensure_ascii=False, indent=1)
        with (folder / f"{document['document_id']}.json").open("x", encoding="utf-8") as stream:
            stream.write(text)


def _document(
    document_id: str, title: str, category: str, sections: Iterable[tuple[str, Iterable[str]]]
) -> Record:
    texts = [{"title": name, "text": "\n\n".join(paragraphs)} for name, paragraphs in sections]
    return {
        "document_id": document_id,
        "title": title,
        "category": category,
        "approval_date": APPROVED,
        "sections": [section for section in texts if section["text"]],
    }


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
