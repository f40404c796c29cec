"""``c360 serve``: the API in this process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import uvicorn

from api.compose import build
from api.routers.health import Check
from cli.installation import Installation
from kit.clock import today
from kit.db import Database
from kit.errors import Unavailable
from kit.logging import configure
from lakehouse.query import run_query
from workers.migrate import is_at_head

Announce = Callable[[str], None]
"""Called with the base address once the server answers there."""


class AddressInUse(Unavailable):
    """Another process listens there already."""

    code = "cli.address_in_use"


def serve(installation: Installation, host: str | None, port: int | None, announce: Announce) -> None:
    """Serve until a signal. Nothing about requests is logged: addresses hold customer ids."""
    settings = installation.settings
    configure("api", level=settings.log_level, as_json=settings.log_as_json)
    installation.database.close()  # migrated; the application opens its own
    listener = _listen(host or settings.host, settings.port if port is None else port)
    address, bound = listener.getsockname()[:2]
    base = f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
    settings = settings.model_copy(update={"public_url": settings.public_url or base})
    app = build(settings, checks=[Check("schema", partial(_schema_lack, Database(settings.control_database_url)))])
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
    )
    _Server(config, partial(announce, base), app.state.stop_streams).run(sockets=[listener])


def example_customer(installation: Installation) -> str:
    """A customer worth looking at, as it stands in a URL."""
    query = "SELECT customer_id FROM gold.customer_360 ORDER BY net_amount DESC, customer_id LIMIT 1"
    with installation.engine() as engine:
        rows = run_query(engine, installation.catalog, query, today()).rows.to_pylist()
    return quote(rows[0]["customer_id"], safe="") if rows else "unknown"


def _schema_lack(database: Database) -> str | None:
    return None if is_at_head(database) else "the control database is not of this release; run c360 init"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as failure:
        listener.close()
        raise AddressInUse(
            f"cannot listen on {host}:{port} ({failure.strerror}); choose another with --port or C360_PORT"
        ) from None
    return listener


class _Server(uvicorn.Server):
    """Says where it is when it answers there, and ends streams before it goes."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], stop_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce
        self._stop_streams = stop_streams

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop_streams()  # they would be waited for
        await super().shutdown(sockets)
