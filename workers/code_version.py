"""Which code carries a run out."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version


@lru_cache(maxsize=1)
def code_version() -> str:
    """The version of the installed package."""
    try:
        return version("customer360")
    except PackageNotFoundError:
        return "unpackaged"
