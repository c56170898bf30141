"""Sentence vectors for training, cached in a file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liftwright.ports import Embed, Vectors

__all__ = ["embed_once"]


def embed_once(texts: Sequence[str], embed: Embed, cache: Path) -> Vectors:
    """The vectors of the texts; those in the cache file are not computed again."""
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    known: dict[str, Vectors] = {}
    if cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if missing:
        known.update(zip(missing, embed(tuple(missing.values())), strict=True))
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, keys=np.array(list(known)), vectors=np.array(list(known.values())))
    return np.array([known[key] for key in keys], dtype=np.float32).reshape(len(keys), -1)
