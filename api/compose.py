"""Puts the API together for an installation: the one place of this room that reads settings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from fastapi import FastAPI

from api.app import create_app
from api.routers.customers import customers_router
from api.routers.health import Check, health_router
from governance.api_keys import ApiKeys
from kit.db import Database
from kit.settings import Settings
from lakehouse.online.encode import ProfileEncoder
from lakehouse.online.lmdb_store import LmdbStore
from lakehouse.online.store import OnlineStore
from pipelines.gold.customer_360 import dataset as profiles


def build(settings: Settings, *, store: OnlineStore | None = None, checks: Sequence[Check] = ()) -> FastAPI:
    """The application of an installation. Nothing is opened before the server starts.

    ``store``: where this process has opened the store already (LMDB allows one handle per process); it is left open then.
    ``checks`` are added to those that readiness makes anyway.
    """
    database = Database(settings.control_database_url)
    keys = ApiKeys(database)
    resources: list[AbstractContextManager[object]] = [closing(database), keys]
    warmup = None
    if store is None:
        store = own = open_store(settings)
        resources += [own, warmup := Warmup(own)]
    view = ProfileEncoder(profiles).view
    online = Check("online_store", partial(_online_lack, store, view, warmup))
    return create_app(
        routers=[
            customers_router(store, profiles, view),
            health_router([online, Check("api_keys", partial(_keys_lack, keys)), *checks]),
        ],
        keys=keys,
        profiles=profiles,
        resources=resources,
    )


def open_store(settings: Settings, *, writable: bool = False) -> LmdbStore:
    """The online store of an installation; a process opens it once."""
    return LmdbStore(settings.online, settings.online_map_mb, readonly=not writable)


def describe() -> bytes:
    """The OpenAPI document of the application as it is composed here."""
    document: bytes = build(Settings(home=Path("nowhere"), database_url="sqlite://")).state.openapi
    return document


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


def _keys_lack(keys: ApiKeys) -> str | None:
    return None if keys.is_fresh else "API keys cannot be read; is the control database there and migrated?"
