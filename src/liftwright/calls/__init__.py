"""Calls to paid or remote services: remembered, budgeted, retried and rate limited."""
