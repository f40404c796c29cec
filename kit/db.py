"""The control-plane database: engine, sessions, naming convention. SQLite by default, PostgreSQL in production.

SQLite stays in rollback-journal mode (the WAL reset bug of SQLite 3.7.0 to 3.51.2 can lose committed transactions with several
processes), begins every transaction that may write as IMMEDIATE, and waits up to 30 s for another writer. Services flush, edges commit: a
``transaction()`` block is the one place that commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Engine, MetaData, create_engine, event, func, select
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

from kit.clock import now

NAMING = {
    "ix": "ix_%(table_name)s__%(column_0_N_name)s",
    "uq": "uq_%(table_name)s__%(column_0_N_name)s",
    "ck": "ck_%(table_name)s__%(constraint_name)s",
    "fk": "fk_%(table_name)s__%(column_0_N_name)s__%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

READING = "c360_reading"
"""Execution option of a connection that only reads."""


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime on every database; SQLite, which has no zones, stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every mapped class; each room declares its own tables on it."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: Instant}  # noqa: RUF012 - SQLAlchemy's own spelling


class Database:
    """Connections to one control database. ``transaction()`` commits on leaving, rolls back on an exception."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _build_engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for queries only: takes no write lock on SQLite, so it does not wait behind a long writer."""
        with (
            self.engine.connect().execution_options(**{READING: True}) as connection,
            self._sessions(bind=connection) as session,
        ):
            yield session

    def close(self) -> None:
        self.engine.dispose()


def database_time(session: Session) -> datetime:
    """The instant by the database's own clock, the one clock that all its clients share.

    SQLite has none of its own: all who can open the file read the same machine's. On PostgreSQL it is not the
    transaction's start: it goes on while a transaction waits for a lock.
    """
    if session.get_bind().dialect.name == "sqlite":
        return now()
    return session.execute(select(func.clock_timestamp(type_=Instant()))).scalar_one()


def _build_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _configure_postgresql)
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin by itself: _begin_immediate does
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _configure_postgresql(connection: Any, _record: object) -> None:
    connection.autocommit = True  # so that the settings outlive the first transaction
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET lock_timeout = '30s'")  # as long as SQLite waits
    # A client that is stopped in the middle must not hold its locks for much longer than its leases last.
    connection.execute("SET idle_in_transaction_session_timeout = '10s'")
    connection.autocommit = False


def _begin_postgresql(connection: Any) -> None:
    if connection.get_execution_options().get(READING):  # holds no lock, and may wait for whoever takes its rows
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '60s'")


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(READING) else "BEGIN IMMEDIATE")
