"""Puts the API together for an installation: the one place of this room that reads settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from fastapi import FastAPI

from api.app import create_app
from api.changes import Changes
from api.cursors import Cursors
from api.figures import tell_figures
from api.idempotency import Creations
from api.routers.audit import audit_router
from api.routers.customers import customers_router
from api.routers.groups import groups_router
from api.routers.health import Check, health_router
from api.routers.keys import keys_router
from api.routers.members import members_router
from api.routers.metrics import metrics_router
from api.routers.oauth import oauth_router
from api.routers.pipelines import pipelines_router
from api.routers.principals import principals_router
from api.routers.runs import runs_router
from api.routers.schedules import schedules_router
from api.run_feed import RunFeed
from governance.audit import AuditTrail, RecordedChanges
from governance.callers import Callers
from governance.tokens import Tokens
from kit.db import Database
from kit.keyring import KeyRing
from kit.settings import Settings
from kit.telemetry import Telemetry
from lakehouse.online.encode import ProfileEncoder
from lakehouse.online.lmdb_store import LmdbStore
from lakehouse.online.store import OnlineStore
from pipelines.catalog import load_catalog
from pipelines.gold.customer_360 import dataset as profiles


def build(settings: Settings, *, store: OnlineStore | None = None, checks: Sequence[Check] = ()) -> FastAPI:
    """The application of an installation. Nothing is opened before the server starts.

    ``store``: where this process has opened the store already (LMDB allows one handle per process); it is left open then.
    ``checks`` are added to those that readiness makes anyway. ``app.state.stop_streams`` ends what is being streamed, so that the
    server can stop.
    """
    database = Database(settings.control_database_url)
    ring = settings.key_ring()
    cursors = Cursors(ring)
    tokens = Tokens(ring, settings.issuer)
    callers = Callers(database, tokens)
    name = f"api {socket.gethostname()}:{os.getpid()}"
    trail, recorded = AuditTrail(database, ring, name=name), RecordedChanges(database, ring, name=name)
    changes, feed = Changes(recorded), RunFeed(database)
    creations = Creations(changes, ring)
    resources: list[AbstractContextManager[object]] = [closing(database), _Completed(ring), trail, recorded, callers]
    warmup = None
    if store is None:
        store = own = open_store(settings)
        resources += [own, warmup := Warmup(own)]
    view = ProfileEncoder(profiles).view
    telemetry = Telemetry()
    tell_figures(telemetry, database=database, store=store, view=view, trail=trail)
    online = Check("online_store", partial(_online_lack, store, view, warmup))
    app = create_app(
        routers=[
            pipelines_router(load_catalog(), creations),
            runs_router(database, cursors, creations, changes, feed),
            schedules_router(database, cursors, changes),
            customers_router(store, profiles, view, trail),
            principals_router(database, cursors, creations, changes),
            keys_router(database, cursors, creations, changes),
            groups_router(database, cursors, creations, changes),
            members_router(database, cursors, changes),
            oauth_router(callers, ring, settings.issuer),
            audit_router(database, ring, cursors, trail),
            metrics_router(telemetry),
            health_router(
                [online, Check("callers", partial(_callers_lack, callers)), Check("audit", trail.lack), *checks]
            ),
        ],
        callers=callers,
        trail=trail,
        telemetry=telemetry,
        profiles=profiles,
        resources=resources,
    )
    app.state.stop_streams = feed.stop
    return app


def open_store(settings: Settings, *, writable: bool = False) -> LmdbStore:
    """The online store of an installation; a process opens it once."""
    return LmdbStore(settings.online, settings.online_map_mb, readonly=not writable)


def describe() -> bytes:
    """The OpenAPI document of the application as it is composed here."""
    document: bytes = build(Settings(home=Path("nowhere"), database_url="sqlite://")).state.openapi
    return document


class _Completed:
    """A key ring that has a key for every purpose before the server starts: what is wrong with it is told then, not in a request."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def __enter__(self) -> Self:
        self._ring.complete()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""


class Warmup:
    """Reads the store into memory beside the start of the server: it is alive at once, and ready when that is done."""

    def __init__(self, store: LmdbStore) -> None:
        self._thread = Thread(target=store.warm, name="warm-online-store", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The thread ends with its work or with the process."""

    @property
    def is_done(self) -> bool:
        return self._thread.ident is not None and not self._thread.is_alive()


def _online_lack(store: OnlineStore, view: str, warmup: Warmup | None) -> str | None:
    if warmup is not None and not warmup.is_done:
        return "the online store is being read into memory; wait"
    return None if store.header(view) is not None else f"no {view} are published yet; run the pipeline"


def _callers_lack(callers: Callers) -> str | None:
    return None if callers.is_fresh else "callers cannot be read; is the control database there and migrated?"
