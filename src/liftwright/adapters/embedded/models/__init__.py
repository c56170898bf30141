"""The model files of the embedded adapters, and functions to read and verify them.

`tokenizer.json` belongs to the sentence model all-MiniLM-L6-v2; `screener.json` has the linear
heads of the embedded screener, and `lexicon.json` its severe words and threats. `MODEL_CARD.md`
documents their sources, limits and measured quality.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from liftwright.errors import ModelBroken

__all__ = ["FOLDER", "checksum", "read_bytes", "read_checked", "write_checked"]

FOLDER = Path(__file__).parent
"""The folder of the shipped model files."""


def read_bytes(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ModelBroken: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: model file cannot be read ({error.strerror}); reinstall liftwright"
        raise ModelBroken(message) from error


def checksum(content: dict[str, object]) -> str:
    """SHA-256 of a JSON object's canonical text without its key `sha256`."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read_checked(path: Path) -> dict[str, object]:
    """Read a JSON model file that contains its own checksum.

    Raises:
        ModelBroken: it is missing, not a JSON object, or does not match its checksum.
    """
    raw = read_bytes(path)
    try:
        content = json.loads(raw)
    except ValueError as error:
        message = f"{path}: model file is not JSON; reinstall liftwright"
        raise ModelBroken(message) from error
    if not isinstance(content, dict):
        message = f"{path}: model file holds {type(content).__name__}, allowed: a JSON object"
        raise ModelBroken(message)
    actual = checksum(content)
    if content.get("sha256") != actual:
        message = (
            f"{path}: key sha256: found {str(content.get('sha256'))[:12]}…, "
            f"but the content has {actual[:12]}…; reinstall liftwright"
        )
        raise ModelBroken(message)
    return content


def write_checked(path: Path, content: dict[str, object]) -> None:
    """Write a JSON model file with its checksum, one top-level key per line."""
    whole = {**content, "sha256": checksum(content)}
    lines = (f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=True)}" for k, v in whole.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")
