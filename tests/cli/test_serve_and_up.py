"""``c360 serve`` and ``c360 up``, over the network."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import stat
import time
import urllib.error
import urllib.request
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.sample import land_sample
from tests.fixtures.command import c360_process, serving
from tests.lake_state import versions
from tests.platform import Platform

ANY_PORT = {"C360_PORT": "0", "C360_ONLINE_MAP_MB": "64"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty customers, published."""
    home = tmp_path_factory.mktemp("served")
    with Platform(home) as platform:
        land_sample(platform.landing, customers=30, seed=7, until=date(2026, 5, 31))
        platform.run(date(2026, 6, 1))
    return home


def get(url: str, key: str | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, None


def ended_runs(home: Path, trigger: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(home / "control.db")) as control:
        found = control.execute("SELECT worker FROM run WHERE trigger = ? AND state = 'succeeded'", (trigger,))
        return [{"worker": worker} for (worker,) in found]


def process_of(worker: str) -> int:
    """A worker's name tells its host and its process."""
    return int(worker.split(":")[1])


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_serve_answers_with_the_key_that_init_issued(home: Path) -> None:
    key = c360_process(home, "init", "--json").document["api_key"]
    with serving(home, "serve", "--port", "0", C360_ONLINE_MAP_MB="64") as (_, said):
        assert set(said) == {"url"}
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", said["url"])
        assert get(f"{said['url']}/healthz")[0] == 200
        customer = "C0000001"
        assert get(f"{said['url']}/customers/{customer}")[0] == 401
        status, profile = get(f"{said['url']}/customers/{customer}", key)
        assert status == 200
        assert customer in json.dumps(profile)
        assert get(f"{said['url']}/customers/nobody", key)[0] == 404
        taken = c360_process(home, "serve", "--port", said["url"].rpartition(":")[2], "--json")
        assert taken.error["code"] == "cli.address_in_use"
        assert "choose another with --port or C360_PORT" in taken.error["message"]


def test_up_does_everything_and_a_second_up_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home, "up", "--customers", "20", **ANY_PORT) as (up, first):
        status, profile = get(first["example"], first["api_key"])
        assert status == 200
        assert profile
        (worker,) = {run["worker"] for run in ended_runs(home, "up")}
        assert is_alive(process_of(worker))
    assert up.wait() == 128 + signal.SIGTERM
    assert not is_alive(process_of(worker))
    before = versions(home / "lake")
    landed = sorted(path.name for path in (home / "landing").rglob("*"))
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "demo-keys.json").stat().st_mode) == 0o600
    with serving(home, "up", "--customers", "20", **ANY_PORT) as (up, second):
        assert second["api_key"] == first["api_key"]
        assert len(ended_runs(home, "up")) == 2
        assert get(second["example"], second["api_key"])[0] == 200
        up.kill()  # nothing of it may go on
        for worker in ended_runs(home, "up"):
            while is_alive(process_of(worker["worker"])):
                time.sleep(0.01)
    assert versions(home / "lake") == before
    assert sorted(path.name for path in (home / "landing").rglob("*")) == landed

    (home / "control.db").unlink()  # the kept key is known no more
    with serving(home, "up", "--customers", "20", **ANY_PORT) as (_, third):
        assert third["api_key"] != first["api_key"]
        assert get(third["example"], third["api_key"])[0] == 200
        assert get(third["example"], first["api_key"])[0] == 401
