"""The embedded engine: DuckDB computes, delta-rs commits, one process, no JVM."""
