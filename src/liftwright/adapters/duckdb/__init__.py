"""DuckDB as the engine of the data plane."""
