"""Approved content: documents, their sections and paragraphs."""
