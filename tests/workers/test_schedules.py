"""Schedules: each tick once, the newest of those missed, by the wall clock of any zone; runs that are kept alive."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from kit.db import Database, database_time
from tests.fixtures.runs import Runs
from workers import claims, firing, queue, schedules
from workers.models import Run, Schedule
from workers.schedules import InvalidSchedule, Kind, Plan, ScheduleExists, UnknownSchedule
from workers.states import RunState
from workers.ticks import following_ticks, newest_tick

HOUR = timedelta(hours=1)


def create(database: Database, name: str = "nightly", cron: str | None = "0 6 * * *", **wishes: Any) -> Schedule:
    plan = Plan(**{"pipeline": "daily", "cron": cron, **wishes})
    with database.transaction() as session:
        return schedules.create_schedule(session, name, plan, created_by="tester")


def only(database: Database, name: str = "nightly") -> None:
    """Leave one schedule: those that an installation begins with are not looked at here."""
    with database.transaction() as session:
        for schedule in schedules.list_schedules(session):
            if schedule.name != name:
                schedules.delete_schedule(session, schedule.name)


def last_due(database: Database, ago: timedelta, name: str = "nightly") -> datetime:
    """What the passing of time does: the schedule has been due for so long."""
    with database.transaction() as session:
        due = database_time(session) - ago
        session.execute(update(Schedule).where(Schedule.name == name).values(next_tick_at=due))
    return due


def runs_of(database: Database, schedule: Schedule) -> list[Run]:
    with database.reading() as session:
        return list(session.scalars(select(Run).where(Run.schedule_id == schedule.id).order_by(Run.id)))


def test_an_installation_begins_with_schedules(database: Database) -> None:
    with database.reading() as session:
        found = {schedule.name: schedule for schedule in schedules.list_schedules(session)}
    assert {name: (schedule.pipeline, schedule.cron) for name, schedule in found.items()} == {
        "daily": ("daily", "0 6 * * *"),
        "declarative": ("declarative", "0 */4 * * *"),
        "system": ("system", "30 6 * * *"),
    }
    for schedule in found.values():
        assert schedule.cron is not None
        assert schedule.next_tick_at is not None
        upto = schedule.next_tick_at
        assert newest_tick(schedule.cron, "UTC", after=schedule.created_at, upto=upto) == upto
        assert newest_tick(schedule.cron, "UTC", after=schedule.created_at, upto=upto - timedelta(seconds=1)) is None


def test_nothing_is_due_before_the_first_tick(database: Database) -> None:
    schedule = create(database)
    assert schedule.next_tick_at is not None
    assert schedule.next_tick_at > schedule.created_at
    only(database)
    assert firing.enqueue_due(database) == []


def test_a_tick_has_one_run_whoever_looks_and_whenever(database: Database) -> None:
    schedule = create(database, engine="spark", full_refresh=True, parameters={"buckets": "4"})
    only(database)
    last_due(database, timedelta(minutes=1))
    with ThreadPoolExecutor(4) as pool:
        begun = [run for runs in pool.map(lambda _: firing.enqueue_due(database), range(8)) for run in runs]
    assert len({run.id for run in begun}) == 1
    (run,) = runs_of(database, schedule)
    assert (run.pipeline, run.engine, run.full_refresh, run.parameters) == ("daily", "spark", True, {"buckets": "4"})
    assert (run.trigger, run.requested_by, run.state) == ("schedule", "schedule:nightly", RunState.QUEUED)
    with database.reading() as session:
        following = schedules.get_schedule(session, "nightly").next_tick_at
        assert following is not None
        assert following > database_time(session)


def test_of_missed_ticks_the_newest_is_made_up_for(database: Database) -> None:
    schedule = create(database, cron="* * * * *")
    only(database)
    last_due(database, timedelta(days=40))
    firing.enqueue_due(database)
    (run,) = runs_of(database, schedule)
    assert run.tick_at is not None
    assert timedelta(0) <= run.created_at - run.tick_at < timedelta(minutes=1)
    assert (run.tick_at.second, run.tick_at.microsecond) == (0, 0)


def test_a_tick_does_not_run_again_when_its_run_is_forgotten(database: Database, runs: Runs) -> None:
    schedule = create(database)
    only(database)
    last_due(database, timedelta(minutes=1))
    (run,) = firing.enqueue_due(database)
    runs.do(queue.cancel, run.id)
    assert runs.do(queue.purge, keep=timedelta(0)) == 1
    assert firing.enqueue_due(database) == []
    assert runs_of(database, schedule) == []


def test_a_paused_schedule_begins_nothing_and_does_not_make_up_for_it(database: Database) -> None:
    schedule = create(database)
    only(database)
    with database.transaction() as session:
        schedules.pause_schedule(session, "nightly")
    last_due(database, HOUR)
    assert firing.enqueue_due(database) == []
    with database.transaction() as session:
        resumed = schedules.resume_schedule(session, "nightly")
        assert resumed.next_tick_at is not None
        assert resumed.next_tick_at > database_time(session)
    assert firing.enqueue_due(database) == []
    assert runs_of(database, schedule) == []


def test_a_name_that_is_used_again_begins_anew(database: Database) -> None:
    first = create(database)
    with pytest.raises(ScheduleExists):
        create(database)
    with database.transaction() as session:
        schedules.delete_schedule(session, "nightly")
        with pytest.raises(UnknownSchedule):
            schedules.get_schedule(session, "nightly")
    assert create(database).id != first.id


class TestReplacing:
    def replace(self, database: Database, plan: Plan) -> tuple[Schedule, bool]:
        with database.transaction() as session:
            return schedules.put_schedule(session, "nightly", plan, created_by="another")

    def test_a_new_expression_ticks_from_now_on(self, database: Database) -> None:
        first = create(database)
        last_due(database, HOUR)
        changed, is_new = self.replace(database, Plan("daily", cron="0 7 * * *"))
        assert (changed.id, is_new, changed.created_by) == (first.id, False, "tester")
        only(database)
        assert firing.enqueue_due(database) == []

    def test_what_else_changes_leaves_a_missed_tick_due(self, database: Database) -> None:
        create(database)
        last_due(database, HOUR)
        self.replace(database, Plan("daily", cron="0 6 * * *", full_refresh=True))
        only(database)
        (run,) = firing.enqueue_due(database)
        assert run.full_refresh

    def test_one_that_is_not_there_is_made(self, database: Database) -> None:
        _, is_new = self.replace(database, Plan("daily", cron="0 7 * * *"))
        assert is_new


def test_the_next_ticks_are_those_that_come(database: Database) -> None:
    schedule = create(database, cron="30 2 * * *", time_zone="Europe/Berlin")
    assert schedule.next_tick_at is not None
    assert schedules.due_at(schedule, 3) == following_ticks("30 2 * * *", "Europe/Berlin", schedule.next_tick_at, 3)
    first = datetime(2026, 10, 24, 0, 30, tzinfo=UTC)
    assert local("Europe/Berlin", *following_ticks("30 2 * * *", "Europe/Berlin", first, 3)) == [
        "24. 02:30 CEST",
        "25. 02:30 CEST",
        "26. 02:30 CET",
    ]


class TestContinuous:
    def test_one_run_is_kept_alive(self, database: Database, runs: Runs) -> None:
        schedule = create(database, cron=None, kind=Kind.CONTINUOUS)
        only(database)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: firing.enqueue_due(database), range(8)))
        (run,) = runs_of(database, schedule)
        assert run.trigger == schedules.CONTINUOUS
        claimed = runs.must_claim()
        assert firing.enqueue_due(database) == []
        runs.do(claims.finish, claimed, {})
        (second,) = firing.enqueue_due(database)
        assert second.id != run.id
        assert runs.claim() is not None

    def test_one_that_fails_is_begun_again_after_a_while(self, database: Database, runs: Runs) -> None:
        create(database, cron=None, kind=Kind.CONTINUOUS)
        only(database)
        firing.enqueue_due(database)
        runs.do(claims.fail, runs.must_claim(), code="x", message="x")
        (again,) = firing.enqueue_due(database)
        assert again.not_before > again.created_at
        assert runs.claim() is None

    @pytest.mark.parametrize("end", [schedules.pause_schedule, schedules.delete_schedule])
    def test_a_schedule_that_ends_ends_its_run(self, database: Database, runs: Runs, end: Any) -> None:
        create(database, cron=None, kind=Kind.CONTINUOUS)
        only(database)
        (run,) = firing.enqueue_due(database)
        claimed = runs.must_claim()
        with database.transaction() as session:
            end(session, "nightly")
        assert runs.do(claims.heartbeat, claimed, seconds=60.0) is True
        runs.do(claims.confirm_cancel, claimed)
        assert firing.enqueue_due(database) == []
        assert runs.stored(run).state == RunState.CANCELLED


@pytest.mark.parametrize(
    "wishes",
    [
        {"cron": "every day"},
        {"cron": "61 * * * *"},
        {"cron": "0 6 31 2 *"},
        {"cron": None},
        {"time_zone": "Europe/Atlantis"},
        {"time_zone": "../etc/passwd"},
        {"kind": Kind.CONTINUOUS},
        {"name": "Every morning"},
        {"name": ""},
    ],
)
def test_what_cannot_be_read_is_refused(database: Database, wishes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchedule):
        create(database, **wishes)


def ticks(cron: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    """All ticks of [begin, end], by asking for the newest again and again."""
    found, upto = [], end
    while (tick := newest_tick(cron, zone, after=begin - timedelta(microseconds=1), upto=upto)) is not None:
        found.append(tick)
        upto = tick - timedelta(microseconds=1)
    return found[::-1]


def local(zone: str, *instants: datetime) -> list[str]:
    return [f"{instant.astimezone(ZoneInfo(zone)):%d. %H:%M %Z}" for instant in instants]


class TestWallClock:
    """Berlin: 2026-03-29 02:00 to 03:00 does not happen, 2026-10-25 02:00 to 03:00 happens twice."""

    SPRING = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC)
    AUTUMN = datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 26, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("cron", "days", "expected"),
        [
            ("0 6 * * *", SPRING, ["28. 06:00 CET", "29. 06:00 CEST", "30. 06:00 CEST"]),
            ("0 6 * * *", AUTUMN, ["24. 06:00 CEST", "25. 06:00 CET", "26. 06:00 CET"]),
            ("30 2 * * *", SPRING, ["28. 02:30 CET", "29. 03:00 CEST", "30. 02:30 CEST"]),
            ("30 2 * * *", AUTUMN, ["24. 02:30 CEST", "25. 02:30 CEST", "26. 02:30 CET"]),
        ],
    )
    def test_a_time_of_day_is_met_once_a_day(
        self, cron: str, days: tuple[datetime, datetime], expected: list[str]
    ) -> None:
        assert local("Europe/Berlin", *ticks(cron, "Europe/Berlin", *days)) == expected

    def test_what_happens_every_hour_goes_by_real_hours(self) -> None:
        for begin, _ in (self.SPRING, self.AUTUMN):
            found = ticks("0 * * * *", "Europe/Berlin", begin, begin + 48 * HOUR)
            assert found == [begin + n * HOUR for n in range(49)]

    def test_a_repeated_hour_does_not_bring_back_a_tick(self) -> None:
        """In the second 02:15 of that night, the tick of 02:30 is over."""
        after = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
        assert newest_tick("30 2 * * *", "Europe/Berlin", after=after, upto=after + HOUR) is None


@given(
    cron=st.sampled_from(
        ["* * * * *", "*/15 * * * *", "0 6 * * *", "30 2 * * *", "0 */4 * * *", "0 0 1 * *", "0 9 * * 1-5"]
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    begin=st.integers(1_735_689_600, 1_830_297_600).map(lambda second: datetime.fromtimestamp(second, UTC)),
    steps=st.lists(st.timedeltas(timedelta(seconds=1), timedelta(days=9)), min_size=1, max_size=6),
)
def test_however_often_somebody_looks_no_tick_comes_twice_and_the_newest_always(
    cron: str, zone: str, begin: datetime, steps: list[timedelta]
) -> None:
    seen: Counter[datetime] = Counter()
    after, instant = begin, begin
    for step in steps:
        instant += step
        tick = newest_tick(cron, zone, after=after, upto=instant)
        if tick is not None:
            assert after < tick <= instant
            seen[tick] += 1
            assert newest_tick(cron, zone, after=tick, upto=instant) is None
            after = tick
    assert set(seen.values()) <= {1}
    assert max(seen, default=None) == newest_tick(cron, zone, after=begin, upto=instant)
