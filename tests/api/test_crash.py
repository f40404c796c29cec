"""The API is killed between the insert and the answer; who asked sends the request again. A run has all its rows, its
audit event too, and is there once."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import select

from api.models import IdempotentRequest
from governance.access import Scope
from governance.api_keys import create_key
from governance.audit.models import AuditRow
from kit.db import Database
from kit.faults import API_BOUNDARIES
from kit.settings import Settings
from tests.governance.audit.trails import breaks
from workers.models import Run, RunEvent, RunKey

SERVER = """
import socket, sys, uvicorn
from pathlib import Path
from api.compose import build
from kit.settings import Settings
app = build(Settings(home=Path(sys.argv[1]), database_url=sys.argv[2], online_map_mb=64))
listener = socket.socket(fileno=int(sys.argv[3]))
uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="error")).run(sockets=[listener])
"""


class KilledServer:
    """An API on one address, begun anew whenever it was killed."""

    def __init__(self, home: Path, url: str, key: str) -> None:
        self.home, self.url, self.key = home, url, key
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def begin(self, **faults: str) -> subprocess.Popen[bytes]:
        """The socket is open all the time: a request waits for the server rather than being refused."""
        return subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self.home), self.url, str(self.listener.fileno())],
            env={**os.environ, "PYTHONPATH": ".", **faults},
            pass_fds=[self.listener.fileno()],
        )

    def ask(self, idempotency_key: str) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": idempotency_key}
        return httpx.post(f"{self.address}/pipelines/daily/runs", headers=headers, timeout=120)


def killed_and_asked_again(database: Database, home: Path, kills: int, per_server: int, seed: int) -> None:
    dice = random.Random(seed)
    with database.transaction() as session:
        key = create_key(session, name="operator", scopes=[Scope.RUNS_WRITE]).secret
    server = KilledServer(home, database.url, key)
    answers: dict[str, str] = {}
    for kill in range(kills):
        where = f"{dice.choice(API_BOUNDARIES)}:{dice.randint(1, per_server)}"
        with server.begin(C360_CRASH_AT=where) as process:
            cut_off = None
            for number in range(per_server):
                try:
                    answers[f"{kill}.{number}"] = server.ask(f"{kill}.{number}").json()["id"]
                except httpx.HTTPError:
                    cut_off = f"{kill}.{number}"
                    break
            assert process.wait(60) == -signal.SIGKILL
        assert cut_off is not None, where
        with server.begin() as again:
            first, second = server.ask(cut_off), server.ask(cut_off)
            again.terminate()
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        answers[cut_off] = first.json()["id"]
    server.listener.close()
    agree(database, set(answers.values()), len(answers))
    assert breaks(database, Settings(home=home).key_ring()) == []


def agree(database: Database, answered: set[str], asked: int) -> None:
    with database.reading() as session:
        runs = set(session.scalars(select(Run.id)))
        assert runs == answered
        assert len(runs) == asked
        assert set(session.scalars(select(RunKey.run_id))) == runs
        assert sorted(session.execute(select(RunEvent.run_id, RunEvent.seq)).all()) == [
            (run, 1) for run in sorted(runs)
        ]
        kept = session.scalars(select(IdempotentRequest)).all()
        assert {row.headers["location"].removeprefix("/runs/") for row in kept if row.headers} == runs
        assert len(kept) == len(runs)
        asked_for = select(AuditRow.params).where(AuditRow.action == "create_run", AuditRow.status == 202)
        told = [json.loads(params)["location"] for params in session.scalars(asked_for)]
        assert sorted(told) == sorted(f"/runs/{run}" for run in runs), (
            "no run without its event, no event without its run"
        )


def test_killed_between_insert_and_answer(database: Database, tmp_path: Path) -> None:
    killed_and_asked_again(database, tmp_path / "home", kills=2, per_server=1, seed=6)


@pytest.mark.long
def test_killed_fifty_times(database: Database, tmp_path: Path) -> None:
    killed_and_asked_again(database, tmp_path / "home", kills=50, per_server=3, seed=7)
