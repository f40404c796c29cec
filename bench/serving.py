"""What does ``GET /customers/{id}`` cost beside the framework's own floor?

    python -m bench.serving [--profiles 200000] [--rounds 5] [--seconds 3]

One server process holds both: the real application (keys, 404, rights, ETag, headers, LMDB) and a bare FastAPI ``/{key}`` that returns
as many constant bytes. Rounds alternate which goes first; each compares the server's CPU per request within the round, which other
load on the machine disturbs less than requests per second. Printed last: floor CPU / our CPU (1.0 = free; goal: at least 0.85), and what of it is the audit
trail, its writing included.
Needs Linux (/proc); uses ``wrk`` where it is installed, else a client of its own that takes a core for itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import uvicorn
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import api.compose
from api.compose import open_store
from governance.api_keys import create_key
from governance.audit import AuditTrail, Event
from kit.db import Database
from kit.settings import Settings
from lakehouse.online.encode import ProfileEncoder
from lakehouse.online.store import Header
from lakehouse.schema import DataType
from pipelines.gold.customer_360 import dataset
from workers.migrate import upgrade

CONNECTIONS = 16
TICKS = os.sysconf("SC_CLK_TCK")
_SILENT = "/silent"
_DRAIN_SECONDS = 1.0


def main() -> None:
    options = _options()
    if options.serve:
        _serve(Path(options.serve), options.port)
        return
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        key, size = _prepare(home, options.profiles)
        port = _free_port()
        command = [sys.executable, "-m", "bench.serving", "--serve", directory, "--port", str(port)]
        server = subprocess.Popen(command, env={**os.environ, "BENCH_BODY_BYTES": str(size)})
        try:
            _wait(port)
            _measure(server.pid, port, key, options)
        finally:
            server.terminate()
            server.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(pid: int, port: int, key: str, options: argparse.Namespace) -> None:
    floors, trails = [], []
    prefixes = ["/floor", "/customers", "/silent/customers"]
    for prefix in prefixes:
        _load(port, prefix, key, options.profiles, 1.0)
    for turn in range(options.rounds):
        cost = {}
        for prefix in prefixes[turn % 3 :] + prefixes[: turn % 3]:
            before, began = _cpu_seconds(pid), time.perf_counter()
            requests = _load(port, prefix, key, options.profiles, options.seconds)
            rate = requests / (time.perf_counter() - began)
            time.sleep(_DRAIN_SECONDS)  # what is written after the last request was caused by these requests
            cost[prefix] = (_cpu_seconds(pid) - before) / requests
            print(f"round {turn + 1} {prefix:<17} {cost[prefix] * 1e6:6.1f} us cpu/request {rate:8.0f} requests/s")
        floors.append(cost["/floor"] / cost["/customers"])
        trails.append(cost["/silent/customers"] / cost["/customers"])
    print(f"cpu ratio, floor / customers: {_median(floors)} (goal: 0.85)")
    print(f"cpu ratio, customers without the audit trail / with it: {_median(trails)}")


def _median(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}] of {len(ratios)} paired rounds"


class _Switchable(AuditTrail):
    """An audit trail that takes nothing while it is silent."""

    silent = False

    def admit(self) -> None:
        if not self.silent:
            super().admit()

    def record(self, event: Event) -> None:
        if not self.silent:
            super().record(event)

    def authenticated(self, principal: str, key: str) -> None:
        if not self.silent:
            super().authenticated(principal, key)


def _serve(home: Path, port: int) -> None:
    """All applications behind one dispatcher, so that they share process, loop and server. ``/silent`` is the real one without audit."""
    api.compose.AuditTrail = _Switchable  # type: ignore[misc] - the composition itself knows no switch
    customers = api.compose.build(Settings(home=home))
    floor, body = FastAPI(), b"x" * int(os.environ["BENCH_BODY_BYTES"])

    @floor.get("/floor/{key}")
    async def get_floor(key: str) -> Response:  # noqa: ARG001 - the floor does with it what a minimum of an API would: nothing
        return Response(body, media_type="application/json")

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith("/floor"):
            await floor(scope, receive, send)
            return
        _Switchable.silent = path.startswith(_SILENT)
        if _Switchable.silent:
            scope["path"], scope["raw_path"] = path[len(_SILENT) :], scope["raw_path"][len(_SILENT) :]
        await customers(scope, receive, send)

    uvicorn.run(dispatch, port=port, access_log=False, log_level="warning", server_header=False)


def _prepare(home: Path, count: int) -> tuple[str, int]:
    """A key for everything, a store of ``count`` profiles, and the size of a typical response."""
    settings = Settings(home=home)
    database = Database(settings.control_database_url)
    upgrade(database)
    with database.transaction() as session:
        key = create_key(session, name="bench", scopes=["profiles:read", "profiles:read:pii"]).secret
    database.close()
    encoder = ProfileEncoder(dataset)
    header = Header(dataset.name, 1, date(2026, 1, 1), datetime(2026, 1, 1, 2, tzinfo=UTC), encoder.fields)
    with open_store(settings, writable=True) as store:
        began = time.perf_counter()
        profiles = (profile for rows in _rows(count) for profile in encoder.encode(rows))
        store.apply(encoder.view, profiles, (), header, after=None)
        print(f"{count} profiles encoded and written in {time.perf_counter() - began:.1f} s")
        sample = store.get(encoder.view, "C7")
    assert sample is not None
    return key, sum(map(len, sample.segments)) + 120


def _rows(count: int) -> Iterator[pa.Table]:
    for first in range(0, count, 20_000):
        ids = range(first, min(count, first + 20_000))
        columns = {
            column.name: pa.array([_value(column.name, column.data_type, i) for i in ids], column.data_type.arrow)
            for column in dataset.columns
        }
        yield pa.table(columns)


def _value(name: str, kind: DataType, number: int) -> Any:
    if name == dataset.keys[0]:
        return f"C{number}"
    if kind.fields:
        return {member: _value(member, member_kind, number) for member, member_kind in kind.fields}
    if kind.element is not None:
        return [_value(name, kind.element, number)]
    if kind.sql.startswith("DECIMAL"):
        return Decimal(number % 10**kind.arrow.precision).scaleb(-kind.arrow.scale)
    instant = datetime(2020, 1, 1, number % 24, tzinfo=UTC)
    values = {"BOOLEAN": number % 2 == 0, "DATE": instant.date(), "TIMESTAMP": instant, "STRING": f"{name} {number}"}
    return values.get(kind.sql, number % 1000)


def _load(port: int, prefix: str, key: str, profiles: int, seconds: float) -> int:
    """Requests for random ids over kept connections; returns how many were answered, all of them with 200."""
    if shutil.which("wrk"):
        return _load_with_wrk(port, prefix, key, profiles, seconds)
    return asyncio.run(_load_with_own_client(port, prefix, key, profiles, seconds))


def _load_with_wrk(port: int, prefix: str, key: str, profiles: int, seconds: float) -> int:
    script = f"""
math.randomseed(7)
wrk.headers["Authorization"] = "Bearer {key}"
request = function() return wrk.format("GET", "{prefix}/C" .. math.random(0, {profiles - 1})) end
"""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        address = f"http://127.0.0.1:{port}"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", file.name, address]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(f"not every request was answered with 200:\n{report}")
    found = re.search(r"(\d+) requests in", report)
    assert found is not None
    return int(found[1])


async def _load_with_own_client(port: int, prefix: str, key: str, profiles: int, seconds: float) -> int:
    until = time.perf_counter() + seconds
    chance = random.Random(7)

    async def connection() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        while time.perf_counter() < until:
            path = f"{prefix}/C{chance.randrange(profiles)}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"not every request was answered with 200: {head[:40]!r}")
            found = re.search(rb"content-length: (\d+)", head)
            assert found is not None
            await reader.readexactly(int(found[1]))
            answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(connection() for _ in range(CONNECTIONS))))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            time.sleep(1)  # the warm-up reads the store beside the start
            return
    raise SystemExit("the server did not start")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
