"""What has been freed goes back to the operating system.

delta-rs, DuckDB and Arrow each bring an allocator of their own, which keeps freed pages for a while or for good: together they held
several times what any of them used at the time.
"""

from __future__ import annotations

import ctypes
import os

_DELTA_RS, _ARROW = "_RJEM_MALLOC_CONF", "ARROW_DEFAULT_MEMORY_POOL"
"""Environment variables by which an installation chooses for itself."""

DUCKDB_SETTINGS = {
    "allocator_background_threads": "true",
    "allocator_flush_threshold": "16MiB",
    "allocator_bulk_deallocation_flush_threshold": "32MiB",
}
"""DuckDB gives back from a thread of its own, and at once after much was freed. To shorten its jemalloc's 10 s too cost 6 % of all
CPU time and saved nothing at the peak."""


def configure_delta_rs() -> None:
    """Have its jemalloc keep freed pages for 0.2 s instead of 10. It looks once, when ``deltalake`` is first imported, and Python has no
    other way to it."""
    os.environ.setdefault(_DELTA_RS, "dirty_decay_ms:200,muzzy_decay_ms:0")


def configure_arrow() -> None:
    """Have Arrow use the C library's allocator: its own mimalloc never gave back 150 MB after a bronze load."""
    import pyarrow as pa  # noqa: PLC0415 - every import of this package passes here, of parts too that have no use for Arrow

    if _ARROW not in os.environ:
        pa.set_memory_pool(pa.system_memory_pool())


def give_back() -> None:
    """Give back what the C library keeps: a few milliseconds, for after work that held much. Nothing where it is not glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
