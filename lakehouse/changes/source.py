"""A Delta table that somebody else writes, seen as a sequence of commits (Delta protocol, *Change Data Files*).

A commit's change rows stand in its change data files where it has any; else every row of a file it added is an insert and every
row of one it removed a delete. Whatever would make that reading wrong is refused: features that are not known here, deletion
vectors, a feed that was off in between. What is not there any more is a gap, and a gap is never passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import orjson
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from kit.errors import Conflict, Invalid
from lakehouse.engine import UnreadableTable
from lakehouse.files.listing import leads_outside

FEED_PROPERTY = "delta.enableChangeDataFeed"
READABLE_FEATURES = frozenset(
    {"timestampNtz", "vacuumProtocolCheck", "v2Checkpoint", "deletionVectors", "typeWidening", "typeWidening-preview"}
)
"""Reader features under which data files mean what they say; that a file has no deletion vector is checked file by file."""

_COLUMN_MAPPING_READER = 2
_MILLISECONDS = 1000


class FeedGap(Conflict):
    """Changes after the last one read are not to be had: the log or the files were cleaned, the feed was off, or the table is
    another one. The message says which, and how to begin anew."""

    code = "feed.gap"


class NoChangeFeed(Invalid):
    """The table keeps no change data; the message says how its writer turns that on."""

    code = "feed.not_enabled"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One Parquet file of changes. ``path`` is relative to the table's folder; ``change`` says what each row is, None where
    the file's own ``_change_type`` does; ``partition`` are the column values that hold for all of it."""

    path: str
    size: int
    change: str | None
    partition: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class SourceCommit:
    """The changes of one version, in files that stand in a fixed order."""

    version: int
    timestamp: datetime
    files: tuple[SourceFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class ChangeSource:
    """The table as it is now: ``table_id`` tells it from one that was created anew in its place."""

    def __init__(self, folder: Path, table: DeltaTable) -> None:
        self.folder = folder
        self._log = folder / "_delta_log"
        self.table_id = str(table.metadata().id)
        self.version = table.version()

    @classmethod
    def open(cls, landing: Path, path: str) -> ChangeSource | None:
        """The table at a path of the landing zone; None where there is none yet."""
        folder = landing / path
        if leads_outside(landing, folder):
            raise UnreadableTable(f"{path} is a link that leads out of the landing zone")
        if not (folder / "_delta_log").is_dir():
            return None
        try:
            return cls(folder, DeltaTable(folder))
        except TableNotFoundError:
            return None
        except DeltaError:
            raise UnreadableTable(f"{path}: its Delta log cannot be read; check it where it is written") from None

    def snapshot(self, version: int) -> SourceCommit:
        """All rows of one version, as inserts. Raises FeedGap where the version is not there any more."""
        try:
            table = DeltaTable(self.folder, version=version)
        except DeltaError:
            raise self._gap(f"version {version} is not in the log any more") from None
        metadata, protocol = table.metadata(), table.protocol()
        self._check_protocol(
            {"minReaderVersion": protocol.min_reader_version, "readerFeatures": protocol.reader_features}
        )
        if metadata.configuration.get(FEED_PROPERTY) != "true":
            raise NoChangeFeed(
                f"{self.folder.name}: the table keeps no change data; its writer sets {FEED_PROPERTY} = true"
            )
        if "deletionVectors" in (protocol.reader_features or ()) and pa.table(table.deletion_vectors()).num_rows:
            raise self._deletion_vector(version)
        files = [
            SourceFile(
                self._inside(action["path"]),
                action["size_bytes"],
                "insert",
                tuple((name, _text(action[f"partition.{name}"])) for name in metadata.partition_columns),
            )
            for action in pa.table(table.get_add_actions(flatten=True)).to_pylist()
        ]
        return SourceCommit(version, self.timestamp(version), tuple(sorted(files, key=lambda file: file.path)))

    def timestamp(self, version: int) -> datetime:
        """When a version was committed, as far as that is still known."""
        return self._timestamp(version, self._first_actions(version))

    def commits(self, after: int, upto: int) -> Iterator[SourceCommit]:
        """What each version in (after, upto] changed, in order. Raises FeedGap at the first that cannot be told."""
        for version in range(after + 1, upto + 1):
            yield self._commit(version)

    def _commit(self, version: int) -> SourceCommit:
        actions = list(self._actions(version))
        for action in actions:
            self._check_action(version, action)
        changed = [action["cdc"] for action in actions if "cdc" in action]
        if changed:
            files = [self._file(action, None) for action in changed]
        else:
            pairs = (("add", "insert"), ("remove", "delete"))
            files = [
                self._file(action[kind], change)
                for kind, change in pairs
                for action in actions
                if kind in action and action[kind].get("dataChange", True)
            ]
        ordered = sorted(files, key=lambda file: (file.change or "", file.path))
        return SourceCommit(version, self._timestamp(version, iter(actions)), tuple(ordered))

    def _check_action(self, version: int, action: dict[str, Any]) -> None:
        if metadata := action.get("metaData"):
            if metadata["id"] != self.table_id:
                raise self._gap(f"version {version} made another table of it")
            if metadata.get("configuration", {}).get(FEED_PROPERTY) != "true":
                raise self._gap(f"the change data feed is off from version {version}")
        if protocol := action.get("protocol"):
            self._check_protocol(protocol)
        if any(action.get(kind, {}).get("deletionVector") for kind in ("add", "remove")):
            raise self._deletion_vector(version)

    def _check_protocol(self, protocol: dict[str, Any]) -> None:
        unknown = set(protocol.get("readerFeatures") or ()) - READABLE_FEATURES
        if protocol["minReaderVersion"] == _COLUMN_MAPPING_READER:
            unknown.add("columnMapping")
        if unknown:
            raise UnreadableTable(
                f"{self.folder.name} needs Delta reader feature {', '.join(sorted(unknown))}, which is not read here; "
                "its writer can drop the feature, or land a copy without it"
            )

    def _deletion_vector(self, version: int) -> UnreadableTable:
        return UnreadableTable(
            f"{self.folder.name}: version {version} has deletion vectors, which are not read here; its writer sets "
            "delta.enableDeletionVectors = false and runs REORG TABLE … APPLY (PURGE), then resync"
        )

    def _gap(self, what: str) -> FeedGap:
        return FeedGap(f"{self.folder.name}: {what}, so changes are missing")

    def _actions(self, version: int) -> Iterator[dict[str, Any]]:
        try:
            with (self._log / f"{version:020}.json").open("rb") as lines:
                for line in lines:
                    if line.strip():
                        yield orjson.loads(line)
        except FileNotFoundError:
            raise self._gap(f"version {version} is not in the log any more") from None
        except ValueError:
            raise UnreadableTable(f"{self.folder.name}: version {version} of its log does not parse") from None

    def _first_actions(self, version: int) -> Iterator[dict[str, Any]]:
        """The actions of a version of which only a checkpoint may be left."""
        return self._actions(version) if (self._log / f"{version:020}.json").exists() else iter(())

    def _timestamp(self, version: int, actions: Iterator[dict[str, Any]]) -> datetime:
        """When the version was committed: as the commit itself says, else by its file."""
        info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        if (said := info.get("inCommitTimestamp", info.get("timestamp"))) is not None:
            return datetime.fromtimestamp(said / _MILLISECONDS, UTC)
        written = [
            file
            for suffix in ("json", "checkpoint.parquet")
            if (file := self._log / f"{version:020}.{suffix}").exists()
        ]
        return datetime.fromtimestamp(written[0].stat().st_mtime, UTC) if written else datetime.fromtimestamp(0, UTC)

    def _file(self, action: dict[str, Any], change: str | None) -> SourceFile:
        partition = tuple((action.get("partitionValues") or {}).items())
        return SourceFile(self._inside(action["path"]), action.get("size") or 0, change, partition)

    def _inside(self, encoded: str) -> str:
        path = unquote(encoded)
        if "://" in path or PurePosixPath(path).is_absolute() or leads_outside(self.folder, self.folder / path):
            raise UnreadableTable(
                f"{self.folder.name}: a file of it lies elsewhere (a shallow clone?); land a whole copy"
            )
        return path


def _text(value: object) -> str | None:
    return None if value is None else str(value)
