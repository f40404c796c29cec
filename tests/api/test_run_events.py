"""Following runs: everything once and in order, from wherever one was cut off, at the price of one look for all listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pytest
from sqlalchemy import event

from api.run_feed import RunFeed, TooManyListeners
from kit.db import Database
from tests.fixtures.runs import Runs
from tests.fixtures.serving import Served
from workers import claims, queue
from workers.events import append
from workers.models import Run


def parse(stream: str) -> list[dict[str, str]]:
    """Events of a stream, as a client reads them."""
    events = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            events.append(fields)
    return events


class TestOverHttp:
    def test_a_run_s_story_from_the_beginning_to_its_end(self, served: Served) -> None:
        runs = Runs(served.database)
        run_id = served.post("/pipelines/daily/runs", served.officer).json()["id"]
        claimed = runs.must_claim()
        runs.do(append, claimed, [("progress", {"subject": "silver.orders", "step": "a\nb"})])
        runs.do(claims.finish, claimed, {})
        response = served.get(f"/runs/{run_id}/events", served.officer)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        events = parse(response.text)
        assert [item["event"] for item in events] == ["state", "state", "progress", "state"]
        assert [item["id"] for item in events] == ["1", "2", "3", "4"]
        told = [orjson.loads(item["data"]) for item in events]
        assert [item["data"].get("state") for item in told] == ["queued", "running", None, "succeeded"]
        assert told[2]["data"]["step"] == "a\nb"
        resumed = served.get(f"/runs/{run_id}/events", served.officer, **{"Last-Event-ID": "2"})
        assert parse(resumed.text) == events[2:]
        over = served.get(f"/runs/{run_id}/events", served.officer, **{"Last-Event-ID": "99"})
        assert (over.status_code, parse(over.text)) == (200, [])

    def test_a_head_request_ends_at_once_while_the_run_goes_on(self, served: Served) -> None:
        run_id = served.post("/pipelines/daily/runs", served.officer).json()["id"]
        headers = {"Authorization": f"Bearer {served.officer}"}
        response = served.client.head(f"/runs/{run_id}/events", headers=headers)
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-type"].startswith("text/event-stream")
        assert served.client.head("/runs/run_none/events", headers=headers).status_code == 404

    @pytest.mark.parametrize("last", ["x", "-1", "1.5"])
    def test_a_last_event_that_is_none_is_refused(self, served: Served, last: str) -> None:
        run_id = served.post("/pipelines/daily/runs", served.officer).json()["id"]
        assert served.get(f"/runs/{run_id}/events", served.officer, **{"Last-Event-ID": last}).status_code == 422

    def test_the_server_does_not_wait_for_listeners_when_it_stops(self, served: Served) -> None:
        run_id = served.post("/pipelines/daily/runs", served.officer).json()["id"]
        served.app.state.stop_streams()
        assert parse(served.get(f"/runs/{run_id}/events", served.officer).text) == []


@pytest.fixture
def looks(database: Database) -> Iterator[list[int]]:
    """Per query: how many runs it looks at; 0 for one that reads anything else."""
    asked: list[int] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append(len(parameters) if "FROM run " in f"{statement} ".replace("\n", " ") else 0)

    event.listen(database.engine, "before_cursor_execute", note)
    yield asked
    event.remove(database.engine, "before_cursor_execute", note)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to that within a minute")


async def collect(feed: RunFeed, run: Run, seen: list[int], after: int = 0) -> None:
    async for events in feed.follow(run.id, after):
        seen += [item.seq for item in events]


class TestFeed:
    def test_what_happens_meanwhile_arrives_and_nothing_twice(self, runs: Runs) -> None:
        async def story() -> None:
            feed = RunFeed(runs.database, interval=0.01)
            listeners = [asyncio.create_task(collect(feed, asked, seen)) for seen in (one, other)]
            claimed = await asyncio.to_thread(runs.must_claim)
            for number in range(20):
                await asyncio.to_thread(runs.do, append, claimed, [("progress", {"n": number})])
            await asyncio.to_thread(runs.do, claims.finish, claimed, {})
            await asyncio.wait_for(asyncio.gather(*listeners), 60)
            await feed.stopped()

        one: list[int] = []
        other: list[int] = []
        asked = runs.enqueue()
        asyncio.run(story())
        assert one == other == list(range(1, 24))

    def test_silent_listeners_cost_one_look_and_hold_nothing(self, runs: Runs, looks: list[int]) -> None:
        async def story() -> None:
            feed = RunFeed(runs.database, interval=0.01)
            looks.clear()
            tasks = [asyncio.create_task(collect(feed, run, [], after=1)) for run in waiting for _ in range(10)]
            await until(lambda: looks.count(1) == len(tasks))  # each has found that there is nothing new
            looks.clear()
            await until(lambda: len(looks) >= 5)
            assert runs.database.engine.pool.checkedout() <= 1  # type: ignore[attr-defined]
            feed.stop()
            await asyncio.gather(*tasks)
            await feed.stopped()

        waiting = [runs.enqueue() for _ in range(5)]
        asyncio.run(story())
        assert set(looks) == {len(waiting)}

    def test_who_hears_nothing_is_told_that_the_line_is_open(self, runs: Runs) -> None:
        async def story() -> Sequence[Any]:
            feed = RunFeed(runs.database, interval=0.01, still_here=0.01)
            stream = feed.follow(asked.id, 1)
            heard = await asyncio.wait_for(anext(stream), 60)
            await stream.aclose()
            await feed.stopped()
            return heard

        asked = runs.enqueue()
        assert asyncio.run(story()) == ()

    def test_a_stream_ends_when_the_run_is_purged_or_the_server_stops(self, runs: Runs) -> None:
        async def story() -> None:
            feed = RunFeed(runs.database, interval=0.01)
            purged, stopped = (asyncio.create_task(collect(feed, run, [], after=1)) for run in (gone, staying))
            await asyncio.to_thread(runs.do, queue.cancel, gone.id)
            await asyncio.wait_for(purged, 60)
            feed.stop()
            await asyncio.wait_for(stopped, 60)
            await asyncio.wait_for(collect(feed, staying, []), 60)
            await feed.stopped()

        gone, staying = runs.enqueue(), runs.enqueue()
        asyncio.run(story())

    def test_a_process_tells_so_many_and_no_more(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        async def story() -> None:
            feed = RunFeed(runs.database, interval=0.01)
            listener = asyncio.create_task(collect(feed, asked, seen))
            await until(lambda: bool(seen))
            with pytest.raises(TooManyListeners):
                feed.check_room()
            await asyncio.to_thread(runs.do, queue.cancel, asked.id)
            await asyncio.wait_for(listener, 60)
            feed.check_room()
            await feed.stopped()

        monkeypatch.setattr("api.run_feed.MAX_LISTENERS", 1)
        asked, seen = runs.enqueue(), []
        asyncio.run(story())
