"""The outside world, one file per vendor or engine; imported by `wiring` alone."""
