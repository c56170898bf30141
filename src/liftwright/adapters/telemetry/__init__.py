"""Spans and metrics through OpenTelemetry exporters."""
