"""A table cut by the hash of a key: in one pass, into files of one bucket each, which are read as often as a computation likes.

To look for a bucket's rows in the whole table each time costs a scan per bucket, and rows kept in a temporary table that does not
fit the memory are written out anew whenever they have been read.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from lakehouse.embedded.scan import literal, quoted

_BUCKET = "__bucket"
_ROWS_HELD = 1_000_000
"""How many rows a thread holds at one time, of all buckets, before they go to the files."""


class Pieces:
    """The cut tables of one session, in a folder of its own below ``scratch``. ``run`` carries out a statement."""

    def __init__(self, run: Callable[[str], object], scratch: Path) -> None:
        self._run = run
        self._folder = scratch / uuid.uuid4().hex
        self._cut: dict[tuple[str, tuple[str, ...], int], Path] = {}

    def sql(self, source: str, keys: Sequence[str], bucket: int, buckets: int) -> str:
        """A query of the rows of ``source`` (a query, of one snapshot) whose ``keys`` (expressions) fall into a bucket."""
        cut = (source, tuple(keys), buckets)
        if (folder := self._cut.get(cut)) is None:
            folder = self._folder / str(len(self._cut))
            folder.mkdir(parents=True)
            self._run(f"SET partitioned_write_flush_threshold = {max(1, _ROWS_HELD // buckets)}")
            self._run(
                f"COPY (SELECT *, hash({', '.join(keys)}) % {buckets} AS {_BUCKET} FROM ({source})) TO {literal(str(folder))} "
                f"(FORMAT parquet, COMPRESSION lz4, PARTITION_BY ({quoted(_BUCKET)}))"
            )
            self._cut[cut] = folder
        files = ", ".join(literal(str(file)) for file in (folder / f"{_BUCKET}={bucket}").glob("*.parquet"))
        if not files:
            return f"SELECT * FROM ({source}) WHERE false"
        return f"SELECT * FROM read_parquet([{files}], hive_partitioning = false)"

    def remove(self) -> None:
        """Rows may be personal: nothing of them outlives the session."""
        shutil.rmtree(self._folder, ignore_errors=True)
