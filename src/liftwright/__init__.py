"""Liftwright: measured, cited, screened messages from a customer list and approved content."""

from __future__ import annotations

__version__ = "0.1.0"
