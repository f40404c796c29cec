"""File notification: what lands is told, once, under the name of its folder."""

from __future__ import annotations

from pathlib import Path

from lakehouse.files.arrivals import Arrivals
from tests.streams import until

FOLDERS = {"bronze.events": "web/events", "bronze.orders": "ecommerce/orders"}


def test_a_file_is_told_under_the_name_of_its_folder_once(tmp_path: Path) -> None:
    found: set[str] = set()

    def told() -> bool:
        # repeated: the watch may begin after the first of them
        (tmp_path / "web/events/x.part").write_bytes(b"x")
        (tmp_path / "web/events/x.part").rename(tmp_path / "web/events/x.parquet")
        found.update(arrivals.take())
        return bool(found)

    (tmp_path / "web/events").mkdir(parents=True)
    with Arrivals(tmp_path, FOLDERS) as arrivals:
        until(told)
        assert found == {"bronze.events"}
        assert arrivals.is_watching
        until(lambda: not arrivals.take())


def test_a_folder_that_comes_later_is_watched_too(tmp_path: Path) -> None:
    found: set[str] = set()
    with Arrivals(tmp_path / "landing", FOLDERS) as arrivals:

        def told() -> bool:
            folder = tmp_path / "landing/ecommerce/orders"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{len(list(folder.iterdir()))}.csv").write_bytes(b"x")
            found.update(arrivals.take())
            return bool(found)

        until(told)
    assert found == {"bronze.orders"}
