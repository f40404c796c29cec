"""What has been freed goes back to the operating system.

delta-rs, DuckDB and Arrow each bring an allocator of their own, which keeps freed pages for a while or for good: together they held
several times what any of them used at the time.
"""

from __future__ import annotations

import ctypes
import os

_READ_WHEN_LOADED = {
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:200,muzzy_decay_ms:0",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Where delta-rs's jemalloc looks, which by default keeps pages for 10 s and has no other switch in Python; and Arrow, whose own
mimalloc never gave 150 MB back. Each looks once, when its library is loaded."""

DUCKDB_SETTINGS = {
    "allocator_background_threads": "true",
    "allocator_flush_threshold": "16MiB",
    "allocator_bulk_deallocation_flush_threshold": "32MiB",
}
"""DuckDB gives back from a thread of its own, and at once after much was freed. To shorten its jemalloc's 10 s too cost 6 % of all
CPU time and saved nothing at the peak."""


def configure() -> None:
    """To be called before ``deltalake`` and ``pyarrow`` are imported first. What the installation has chosen itself
    stays."""
    for name, value in _READ_WHEN_LOADED.items():
        os.environ.setdefault(name, value)


def give_back() -> None:
    """Give back what the C library keeps: a few milliseconds, for after work that held much. Nothing where it is not glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
