"""Publishes a served dataset to the online store: changed profiles only, all of them when nothing can be built upon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from kit.clock import now
from kit.faults import boundary
from lakehouse.dataset import Dataset
from lakehouse.engine import Restriction, Session
from lakehouse.online.encode import ProfileEncoder
from lakehouse.online.store import Applied, Header, OnlineStore, ProfileSegments
from pipelines.flows.context import FlowContext

_NO_VERSION = -1
"""Version of a view whose table is no more."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What a publication did: profiles written, deleted, and found to be the same."""

    view: str
    version: int | None
    written: int = 0
    deleted: int = 0
    unchanged: int = 0


def publish(context: FlowContext, dataset: Dataset, store: OnlineStore) -> PublishResult:
    """Bring the dataset's view to its newest version and the run's ``as_of``. Nothing is written if it is there already."""
    encoder = ProfileEncoder(dataset)
    with context.writing(f"online.{encoder.view}"):
        version = context.engine.version(dataset.name)
        if version is None:
            return PublishResult(encoder.view, None)
        current = store.header(encoder.view)
        header = Header(dataset.name, version, context.as_of, now(), encoder.fields)
        if current is not None and current.says_the_same(header):
            return PublishResult(encoder.view, version)
        boundary("publish.before_write")
        with context.engine.session(context.as_of) as session:
            applied = _apply(context, session, dataset, store, encoder, current, header)
        boundary("publish.written")
    return PublishResult(encoder.view, version, applied.written, applied.deleted, applied.unchanged)


def disown(dataset: Dataset, store: OnlineStore) -> None:
    """The table has vanished: the next publication writes the view whole, whatever version it finds. Until then the profiles
    stay as they are."""
    view = ProfileEncoder(dataset).view
    current = store.header(view)
    if current is not None and current.version != _NO_VERSION:
        store.apply(view, (), (), replace(current, version=_NO_VERSION), after=current.version)


def _apply(
    context: FlowContext,
    session: Session,
    dataset: Dataset,
    store: OnlineStore,
    encoder: ProfileEncoder,
    current: Header | None,
    header: Header,
) -> Applied:
    after = None if current is None else current.version
    unknown = current is None or current.version == _NO_VERSION or current.version > header.version
    if current is None or unknown or dict(current.fields) != dict(encoder.fields):
        return store.replace(
            encoder.view, _all_profiles(context, session, dataset, encoder, header), header, after=after
        )
    session.bind_changes("__changed", dataset.name, current.version, header.version, (encoder.key,))
    session.bind("__profiles", dataset.name, header.version)
    key = encoder.key
    rows = session.fetch(f"SELECT p.* FROM __profiles AS p LEFT SEMI JOIN __changed AS c ON p.{key} = c.{key}")
    gone = session.fetch(f"SELECT c.{key} FROM __changed AS c LEFT ANTI JOIN __profiles AS p ON p.{key} = c.{key}")
    return store.apply(encoder.view, encoder.encode(rows), gone.column(key).to_pylist(), header, after=after)


def _all_profiles(
    context: FlowContext, session: Session, dataset: Dataset, encoder: ProfileEncoder, header: Header
) -> Iterator[tuple[str, ProfileSegments]]:
    """Every profile, read in pieces so that memory stays bounded."""
    buckets = context.buckets or context.engine.pieces({dataset.name: dataset.column_names})
    for bucket in range(buckets):
        restriction = Restriction((encoder.key,), None, bucket, buckets) if buckets > 1 else None
        session.bind("__profiles", dataset.name, header.version, restriction)
        rows: pa.Table = session.fetch("SELECT * FROM __profiles")
        yield from encoder.encode(rows)
