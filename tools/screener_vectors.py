"""Sentence vectors for training, made once and kept in a folder of the user's choice."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liftwright.ports import Embed, Vectors

__all__ = ["embed_once"]

# An interrupted training keeps the batches that are done.
BATCH = 4000


def embed_once(texts: Sequence[str], embed: Embed, cache: Path) -> Vectors:
    """Vectors of the texts; those already in the cache file are not made again."""
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    known: dict[str, Vectors] = {}
    if cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    waiting = iter(missing)
    while batch := tuple(islice(waiting, BATCH)):
        made = embed(tuple(missing[key] for key in batch))
        known.update(zip(batch, made, strict=True))
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, keys=np.array(list(known)), vectors=np.array(list(known.values())))
    return np.array([known[key] for key in keys], dtype=np.float32).reshape(len(keys), -1)
