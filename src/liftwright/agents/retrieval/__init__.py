"""The retrieval agent: the approved passages that fit each segment."""

from __future__ import annotations

from liftwright.agents.retrieval.retrieve import CachedRetriever, build_query, retrieve
from liftwright.agents.retrieval.shield import shield_documents, shielded_text

__all__ = ["CachedRetriever", "build_query", "retrieve", "shield_documents", "shielded_text"]
