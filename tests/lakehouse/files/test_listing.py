"""Which files are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakehouse.files.listing import LandingFile, PatternOutsideLanding, list_files


def _land(zone: Path, path: str, mtime: int = 1_700_000_000, content: str = "x") -> None:
    (zone / path).parent.mkdir(parents=True, exist_ok=True)
    (zone / path).write_text(content)
    os.utime(zone / path, (mtime, mtime))


def test_files_are_sorted_by_time_then_path(tmp_path: Path) -> None:
    _land(tmp_path, "shop/b.csv", 2)
    _land(tmp_path, "shop/a.csv", 2, "xyz")
    _land(tmp_path, "shop/c.csv", 1)
    assert list_files(tmp_path, "shop/*.csv") == [
        LandingFile("shop/c.csv", 1, 1_000_000_000),
        LandingFile("shop/a.csv", 3, 2_000_000_000),
        LandingFile("shop/b.csv", 1, 2_000_000_000),
    ]


def test_only_data_that_matches_is_listed(tmp_path: Path) -> None:
    for path in (
        "a.csv",
        ".b.csv",
        "_c.csv",
        "d.csv.tmp",
        "e.csv.crc",
        "f.json",
        "_old/g.csv",
        ".h/i.csv",
        "deep/er/j.csv",
    ):
        _land(tmp_path, f"shop/{path}")
    (tmp_path / "shop" / "folder.csv").mkdir()
    assert [file.path for file in list_files(tmp_path, "shop/**/*")] == [
        "shop/a.csv",
        "shop/deep/er/j.csv",
        "shop/f.json",
    ]
    assert [file.path for file in list_files(tmp_path, "shop/*.csv")] == ["shop/a.csv"]


def test_no_folder_is_no_file(tmp_path: Path) -> None:
    assert list_files(tmp_path / "none", "shop/*.csv") == []


def test_a_file_that_vanishes_meanwhile_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _land(tmp_path, "a.csv")
    _land(tmp_path, "b.csv")
    look = Path.stat

    def vanish(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.name == "a.csv":
            path.unlink(missing_ok=True)
        return look(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", vanish)
    assert [file.path for file in list_files(tmp_path, "*.csv")] == ["b.csv"]


@pytest.mark.parametrize("pattern", ["../*.csv", "/etc/*", "shop/../../*.csv"])
def test_a_pattern_stays_in_the_landing_zone(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(PatternOutsideLanding):
        list_files(tmp_path, pattern)
