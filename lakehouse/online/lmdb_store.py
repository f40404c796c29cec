"""The online store on LMDB: one memory-mapped file, read by any number of processes while one writes.

A change is one LMDB transaction: readers see the state before it or after it, and a process killed in between leaves the
state before. The file is sparse and may be as large as ``map_mb``; a full ``replace`` needs room for the old and the new profiles.
LMDB allows one handle per file and process: share the store object.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import lmdb

from lakehouse.online.layout import (
    decode_header,
    decode_profile,
    encode_header,
    encode_profile,
    header_key,
    profile_key,
    profile_range,
)
from lakehouse.online.store import (
    Applied,
    FieldsChanged,
    Header,
    HeaderMoved,
    OnlineStoreFull,
    OnlineStoreUnavailable,
    Profile,
    ProfileSegments,
)

MAX_READERS = 1024
_WARM_STEP = 8 << 20


class LmdbStore:
    """An OnlineStore in directory ``path`` (created with mode 700: it holds personal data). Use as a context manager or close().

    A ``readonly`` store may be opened before the first publication: until then it is empty. ``map_mb`` must not be smaller than
    the writer's, else reads adopt the writer's size when they meet it.
    """

    def __init__(self, path: Path, map_mb: int, *, readonly: bool = False) -> None:
        self._path = path
        self._map_size = map_mb << 20
        self._readonly = readonly
        self._environment: lmdb.Environment | None = None
        self._lock = Lock()  # guards opening and resizing the map; a reader holds it for microseconds, a writer never

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. The store may be used again afterwards."""
        with self._lock:
            if self._environment is not None:
                self._environment.close()
                self._environment = None

    def header(self, view: str) -> Header | None:
        (stored,) = self._read(header_key(view))
        return decode_header(stored) if stored is not None else None

    def get(self, view: str, key: str) -> Profile | None:
        header, profile = self._read(header_key(view), profile_key(view, key))
        if header is None or profile is None:
            return None
        return Profile(decode_header(header), *decode_profile(profile))

    def apply(
        self,
        view: str,
        upserts: Iterable[tuple[str, ProfileSegments]],
        deletes: Iterable[str],
        header: Header,
        *,
        after: int | None,
    ) -> Applied:
        with self._writing() as transaction:
            before = _header_in(transaction, view, after)
            if before is not None and dict(before.fields) != dict(header.fields):
                raise FieldsChanged(f"the fields of view {view} have changed since it was published; publish it whole")
            tally = _Tally(before.count if before is not None else 0)
            for key, segments in upserts:
                tally.put(transaction, profile_key(view, key), segments)
            for key in deletes:
                tally.delete(transaction, profile_key(view, key))
            return _finish(transaction, view, before, header, tally)

    def replace(
        self, view: str, profiles: Iterable[tuple[str, ProfileSegments]], header: Header, *, after: int | None
    ) -> Applied:
        with self._writing() as transaction:
            before = _header_in(transaction, view, after)
            tally = _Tally(before.count if before is not None else 0)
            kept = set()
            for key, segments in profiles:
                kept.add(where := profile_key(view, key))
                tally.put(transaction, where, segments)
            for where in [where for where in _keys(transaction, view) if where not in kept]:
                tally.delete(transaction, where)
            return _finish(transaction, view, before, header, tally)

    def warm(self) -> int:
        """Read the used part of the file into memory (a cold read takes milliseconds, and blocks its event loop); returns bytes."""
        with self._lock:
            environment = self._open()
            if environment is None:
                return 0
            used = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]  # beyond it the file is sparse
        seen = 0
        with (self._path / "data.mdb").open("rb", buffering=0) as file:
            while seen < used and (step := file.read(min(_WARM_STEP, used - seen))):
                seen += len(step)
        return seen

    def _read(self, *keys: bytes) -> list[bytes | None]:
        """The values of these keys, all at one instant."""
        with self._lock:
            environment = self._open()
            if environment is None:
                return [None] * len(keys)
            try:
                try:
                    transaction = environment.begin()
                except lmdb.MapResizedError:  # a writer runs with a larger map: adopt its size
                    environment.set_mapsize(0)
                    transaction = environment.begin()
                with transaction:
                    return [transaction.get(key) for key in keys]
            except lmdb.Error as error:
                raise OnlineStoreUnavailable(f"the online store cannot be read: {type(error).__name__}") from error

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction]:
        with self._lock:
            environment = self._open()
        if environment is None or self._readonly:
            raise OnlineStoreUnavailable("this process has opened the online store for reading only")
        try:
            with self._begin(environment) as transaction:
                yield transaction
        except lmdb.MapFullError:
            raise OnlineStoreFull(
                f"the online store is full at {self._map_size >> 20} MiB; raise C360_ONLINE_MAP_MB for every process and publish again"
            ) from None

    def _begin(self, environment: lmdb.Environment) -> lmdb.Transaction:
        try:
            return environment.begin(write=True)  # waits for another writer, so not under the lock that readers take
        except lmdb.MapResizedError:
            with self._lock:
                environment.set_mapsize(0)
            return environment.begin(write=True)

    def _open(self) -> lmdb.Environment | None:
        if self._environment is None:
            if self._readonly and not (self._path / "data.mdb").exists():
                return None
            try:
                self._environment = self._opened()
            except (lmdb.Error, OSError) as error:
                raise OnlineStoreUnavailable(f"the online store cannot be opened: {type(error).__name__}") from error
        return self._environment

    def _opened(self) -> lmdb.Environment:
        if not self._readonly:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        environment = lmdb.open(
            os.fspath(self._path),
            map_size=self._map_size,
            max_readers=MAX_READERS,
            mode=0o600,
            readonly=self._readonly,
            create=not self._readonly,
            readahead=False,
        )
        environment.reader_check()  # slots of readers that were killed would keep old pages from being used again
        return environment


class _Tally:
    """Counts what a transaction does; stores nothing that is there already."""

    def __init__(self, count: int) -> None:
        self.count, self.written, self.deleted, self.unchanged = count, 0, 0, 0

    def put(self, transaction: lmdb.Transaction, where: bytes, segments: ProfileSegments) -> None:
        value = encode_profile(segments)
        present = transaction.get(where)
        if present == value:
            self.unchanged += 1
            return
        transaction.put(where, value)
        self.written += 1
        self.count += present is None

    def delete(self, transaction: lmdb.Transaction, where: bytes) -> None:
        if transaction.delete(where):
            self.deleted += 1
            self.count -= 1


def _header_in(transaction: lmdb.Transaction, view: str, after: int | None) -> Header | None:
    stored = transaction.get(header_key(view))
    header = decode_header(stored) if stored is not None else None
    if (header.version if header is not None else None) != after:
        at = "was never published" if header is None else f"is at version {header.version}"
        raise HeaderMoved(f"view {view} {at}, these changes follow on {after}; read the header and compute them again")
    return header


def _finish(transaction: lmdb.Transaction, view: str, before: Header | None, header: Header, tally: _Tally) -> Applied:
    if before is not None and header.says_the_same(before) and not tally.written and not tally.deleted:
        return Applied(0, 0, tally.unchanged, changed=False)
    transaction.put(header_key(view), encode_header(replace(header, count=tally.count)))
    return Applied(tally.written, tally.deleted, tally.unchanged, changed=True)


def _keys(transaction: lmdb.Transaction, view: str) -> Iterator[bytes]:
    first, beyond = profile_range(view)
    with transaction.cursor() as cursor:
        if not cursor.set_range(first):
            return
        for key in map(bytes, cursor.iternext(keys=True, values=False)):
            if key >= beyond:
                return
            yield key
