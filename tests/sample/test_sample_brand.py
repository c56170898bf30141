"""The words that the sample brand puts around its approved content claim nothing themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from liftwright.content.documents import read_documents

if TYPE_CHECKING:
    from pathlib import Path

PRODUCTS = ("jacket", "boot", "tent", "sleeping bag", "merino", "sock", "coffee", "daypack")
COMMERCE = ("discount", "voucher", "free", "sale", "offer", "price", "cheap", "saving", "gift")
TIERS = ("bronze", "silver", "gold", "member", "tier", "points")
DEADLINES = ("last chance", "ends", "expire", "deadline", "only today", "while stocks", "hurry")
NUMBERS = ("two", "three", "four", "five", "ten", "hundred", "half", "per cent", "dozen")
TIMES = ("january", "monday", "weekend", "spring", "summer", "autumn", "winter")
CLAIMS = re.compile(
    rf"\b({'|'.join((*PRODUCTS, *COMMERCE, *TIERS, *DEADLINES, *NUMBERS, *TIMES))})s?\b|[\d£$€%\[]",
    re.IGNORECASE,
)


@pytest.mark.parametrize("tone", ["urgent", "informational", "friendly"])
def test_frames_of_a_tone_state_no_fact(sample_workspace_root: Path, tone: str) -> None:
    file = sample_workspace_root / f"config/frames/{tone}.yaml"
    frames: dict[str, list[str]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    lines = [line for lines in frames.values() for line in lines]
    assert lines
    assert [line for line in lines if CLAIMS.search(line)] == []


def test_control_message_makes_no_claim(sample_workspace_root: Path) -> None:
    file = sample_workspace_root / "config/prompts/control_message.txt"
    text = file.read_text(encoding="utf-8")
    assert not re.search(rf"\b({'|'.join(COMMERCE)})s?\b|[\d£$€%\[]", text, re.IGNORECASE)


def test_approved_content_is_twenty_to_fifty_documents_with_all_metadata(
    sample_workspace_root: Path,
) -> None:
    folder = sample_workspace_root / "data/content/approved_content"
    documents = read_documents(folder).documents
    assert 20 <= len(documents) <= 50
    assert not [one for one in documents if not (one.sections and one.keywords and one.source_url)]
    order = "ignore previous instructions"
    planted = [file for file in folder.iterdir() if order in file.read_text("utf-8").casefold()]
    assert len(planted) == 1
    assert not [one for one in documents if order in str(one).casefold()], "it is not indexed"
