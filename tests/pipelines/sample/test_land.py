"""Landing the sample: equal bytes, whole files, continued and finished where it was left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.sample import InvalidSampleSize, LandingNotEmpty, OtherSampleLanded, land_sample

UNTIL = date(2025, 11, 23)
CUSTOMERS = 300


def tree(landing: Path) -> dict[str, tuple[int, bytes]]:
    """Every visible file with its modification time and content; the help desk's table is no file of the sample's own."""
    files = (path for path in landing.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = (path for path in files if "support" not in path.relative_to(landing).parts)
    return {path.relative_to(landing).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def lines(landing: Path, folder: str) -> Counter[bytes]:
    """The records of all files of a folder, whatever files they lie in and however these are written."""
    found: Counter[bytes] = Counter()
    for path in (landing / folder).iterdir():
        if path.suffix == ".parquet":
            found.update(events(path))
            continue
        found.update(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()[path.suffix == ".csv" :])
    return found


def events(path: Path) -> Iterator[bytes]:
    """The rows of a file of web events as their text, whatever its columns are called; none of a broken one."""
    with suppress(pa.ArrowInvalid):
        table = pq.read_table(path)
        table = table.rename_columns([name.lower() for name in table.column_names])
        for row in table.drop_columns(list({"campaign", "event_ts"} & set(table.column_names))).to_pylist():
            yield repr(row).encode()


class TestTheSameParameters:
    def test_give_the_same_bytes_and_times(self, tmp_path: Path) -> None:
        for name in ("one", "other"):
            land_sample(tmp_path / name, customers=CUSTOMERS, until=UNTIL)
        assert tree(tmp_path / "one") == tree(tmp_path / "other") != {}

    def test_write_nothing_a_second_time(self, tmp_path: Path) -> None:
        first = land_sample(tmp_path, customers=CUSTOMERS, until=UNTIL)
        before = tree(tmp_path)
        again = land_sample(tmp_path, customers=CUSTOMERS, until=UNTIL)
        earlier = land_sample(tmp_path, customers=CUSTOMERS, until=UNTIL - timedelta(days=9))
        assert tree(tmp_path) == before
        assert again.written == earlier.written == ()
        assert (again.files, again.records, again.injected) == (first.files, first.records, first.injected)

    def test_but_another_seed_give_others(self, tmp_path: Path) -> None:
        for seed in (1, 2):
            land_sample(tmp_path / str(seed), customers=CUSTOMERS, until=UNTIL, seed=seed)
        shared = lines(tmp_path / "1", "ecommerce/orders") & lines(tmp_path / "2", "ecommerce/orders")
        assert shared.total() == 0


@pytest.fixture(scope="module")
def landed_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landing zone with a sample, not to be written to."""
    landing = tmp_path_factory.mktemp("landing")
    land_sample(landing, customers=CUSTOMERS, until=UNTIL)
    return landing


class TestFiles:
    def test_are_those_reported_and_few(self, landed_files: Path) -> None:
        landed = land_sample(landed_files, customers=CUSTOMERS, until=UNTIL)
        assert sorted(landed.files) == sorted(tree(landed_files))
        assert len(landed.files) <= 160

    def test_are_as_old_as_the_day_in_their_name(self, landed_files: Path) -> None:
        for name, (modified, _) in tree(landed_files).items():
            day = date.fromisoformat(Path(name).stem.removesuffix("-retry")[-10:])
            midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
            assert modified == midnight.timestamp() * 1e9

    def test_end_with_the_last_day_and_are_daily_before_it(self, landed_files: Path) -> None:
        recent = {f"ecommerce/orders/orders-{UNTIL - timedelta(days=days)}.csv" for days in range(30)}
        assert recent <= tree(landed_files).keys()
        assert (
            max(name for name in tree(landed_files) if name.startswith("ecommerce"))
            == f"ecommerce/orders/orders-{UNTIL}.csv"
        )

    def test_of_a_size_show_every_form(self, landed_files: Path) -> None:
        orders = [content for name, (_, content) in tree(landed_files).items() if name.startswith("ecommerce")]
        assert sum(not content for content in orders) == 1
        headers = {content.splitlines()[0].removeprefix(b"\xef\xbb\xbf") for content in orders if content}
        assert {header.split(b",")[0] for header in headers} == {b"order_id", b"ORDER_ID", b"Order_Id"}
        assert {header.lower().endswith(b",coupon_code") for header in headers} == {True, False}
        assert any(content.startswith(b"\xef\xbb\xbf") for content in orders)
        assert any(b"\r\n" in content for content in orders)


class TestALaterDay:
    def test_adds_files_and_leaves_the_others_alone(self, tmp_path: Path) -> None:
        first = land_sample(tmp_path, customers=CUSTOMERS, until=UNTIL)
        before = tree(tmp_path)
        later = land_sample(tmp_path, customers=CUSTOMERS, until=UNTIL + timedelta(days=2))
        after = tree(tmp_path)
        assert {name: after[name] for name in before} == before
        assert set(later.written) == after.keys() - before.keys() == set(later.files) - set(first.files)
        assert any(name.endswith(f"orders-{UNTIL + timedelta(days=2)}.csv") for name in later.written)
        assert later.records["ecommerce/orders"] > first.records["ecommerce/orders"]

    def test_brings_the_same_records_by_the_day_as_at_once(self, tmp_path: Path) -> None:
        days = [UNTIL + timedelta(days=day) for day in (0, 1, 2, 3, 12)]
        for until in days:
            by_the_day = land_sample(tmp_path / "by_the_day", customers=CUSTOMERS, until=until)
        for until in (days[0], days[-1]):
            at_once = land_sample(tmp_path / "at_once", customers=CUSTOMERS, until=until)
        for folder in at_once.records.keys() - {"support/tickets"}:
            assert lines(tmp_path / "by_the_day", folder) == lines(tmp_path / "at_once", folder)
        assert by_the_day.records == at_once.records


class TestAKilledLanding:
    class Killed(Exception):
        pass

    @pytest.mark.parametrize("files", [1, 40, 105])
    def test_is_finished_by_the_next(self, tmp_path: Path, files: int) -> None:
        left = iter(range(files))

        def die_after_some(*_: object) -> None:
            if next(left, None) is None:
                raise self.Killed

        with pytest.raises(self.Killed):
            land_sample(tmp_path / "killed", customers=CUSTOMERS, until=UNTIL, progress=die_after_some)
        for name in ("killed", "whole"):
            for until in (UNTIL, UNTIL + timedelta(days=1))[name == "killed" :]:
                landed = land_sample(tmp_path / name, customers=CUSTOMERS, until=until)
            assert sorted(landed.files) == sorted(tree(tmp_path / name))
        assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
        assert not list(tmp_path.rglob("*.part"))


class TestRefused:
    def test_the_sample_of_another_seed_or_size(self, tmp_path: Path) -> None:
        land_sample(tmp_path, customers=CUSTOMERS, until=UNTIL)
        for customers, seed in ((CUSTOMERS, 8), (CUSTOMERS + 1, 7)):
            with pytest.raises(OtherSampleLanded):
                land_sample(tmp_path, customers=customers, seed=seed, until=UNTIL)

    def test_a_landing_zone_with_files_of_others(self, tmp_path: Path) -> None:
        (tmp_path / "ecommerce/orders").mkdir(parents=True)
        (tmp_path / "ecommerce/orders/real.csv").write_text("order_id\n1\n")
        with pytest.raises(LandingNotEmpty):
            land_sample(tmp_path, customers=CUSTOMERS, until=UNTIL)
        assert tree(tmp_path).keys() == {"ecommerce/orders/real.csv"}

    def test_no_customers(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSampleSize):
            land_sample(tmp_path, customers=0, until=UNTIL)


def test_one_customer_is_a_sample_too(tmp_path: Path) -> None:
    landed = land_sample(tmp_path, customers=1, until=UNTIL)
    assert sorted(landed.files) == sorted(tree(tmp_path))


def test_progress_is_told_to_the_last_file_of_each_source(tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    landed = land_sample(
        tmp_path,
        customers=50,
        until=UNTIL,
        progress=lambda folder, done, total: told.setdefault(folder, []).append((done, total)),
    )
    assert told.keys() == landed.records.keys()
    days = [done for done, _ in told.pop("support/tickets")]
    assert days == list(range(1, len(days) + 1))
    for folder, steps in told.items():
        total = sum(name.startswith(folder) for name in landed.files)
        assert steps == [(done, total) for done in range(1, total + 1)]
