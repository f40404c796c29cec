"""A run is found in its worker's logs by the request that asked for it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from kit.logging import correlated
from tests.fixtures.command import serving
from tests.governance.audit.trails import wait_until
from tests.platform import Platform
from workers import queue
from workers.states import FINAL


def test_the_lines_of_a_run_have_the_id_of_its_request(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        database = platform.installation.database
        with correlated(request_id="r-4711"), database.transaction() as session:
            run = queue.enqueue(session, pipeline="system", as_of=date(2026, 3, 1), trigger="test", requested_by="test")

        def has_ended() -> bool:
            with database.reading() as session:
                return queue.get_run(session, run.id).state in FINAL

        with serving(tmp_path, "worker", C360_ONLINE_MAP_MB="64") as (process, _):
            wait_until(has_ended)
            process.terminate()
            assert process.stderr is not None
            lines = [json.loads(line) for line in process.stderr.read().splitlines()]
    about = [line for line in lines if line.get("run_id") == run.id]
    assert about
    assert {(line["request_id"], line["service"]) for line in about} == {("r-4711", "worker")}
