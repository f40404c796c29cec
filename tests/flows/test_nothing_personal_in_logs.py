"""What the lake's logs and file footers tell about people: nothing. Commit infos hold no id and no value, statistics no class ``pii``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.dataset import PUBLIC, Dataset
from pipelines.catalog import load_catalog
from pipelines.sample import land_sample
from tests.lake_state import actions, tables
from tests.platform import Platform

WORD = re.compile(r"[\w.@+-]+")
PROSE = ("pii.raw", "pii.free_text")
"""Whole records and what people write: their words are anybody's; ids and addresses in them stand in other columns too."""
SHORTEST = 4
"""Shorter values stand in any number or name by chance."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Appends, merges and deletions: two days of a sample, each run."""
    with Platform(tmp_path_factory.mktemp("home")) as platform:
        for until, as_of in ((date(2026, 5, 29), date(2026, 5, 30)), (date(2026, 5, 31), date(2026, 6, 1))):
            land_sample(platform.landing, customers=60, seed=3, until=until)
            platform.run(as_of)
        yield platform.installation.settings.lake


def declared() -> list[Dataset]:
    return list(load_catalog())


def personal_values(lake: Path) -> set[str]:
    """Every customer id and every word of a personal column, in any table."""
    words: set[str] = set()
    paths = tables(lake)
    for dataset in declared():
        names = [column.name for column in dataset.columns if column.cls not in (PUBLIC, *PROSE)]
        if dataset.name in paths and names:
            for row in DeltaTable(paths[dataset.name]).to_pyarrow_table(columns=names).to_pylist():
                words.update(words_of(row))
    return words


def words_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from words_of(member)
    elif isinstance(value, list):
        for element in value:
            yield from words_of(element)
    elif isinstance(value, date):
        yield value.isoformat()[:10]
    elif isinstance(value, str):
        yield from (word for word in WORD.findall(value) if len(word) >= SHORTEST)


def words_of_the_declarations() -> set[str]:
    """Comments stand in the commit that creates a table."""
    told = (text for dataset in declared() for column in dataset.columns for text in (column.name, column.comment))
    return {word for text in (*told, *(dataset.comment for dataset in declared())) for word in WORD.findall(text)}


def test_no_commit_info_holds_an_id_or_a_personal_value(lake: Path) -> None:
    values = personal_values(lake) - {"2026-05-30", "2026-06-01"}  # the dates of the runs
    assert len(values) > 500
    ours = words_of_the_declarations()
    for name, path in tables(lake).items():
        for version, action in actions(path):
            if info := action.get("commitInfo"):
                told = set(WORD.findall(json.dumps(info))) - ours
                assert sorted(told & values) == [], f"{name}, version {version}"


def test_no_statistics_of_a_personal_column_stand_in_the_log(lake: Path) -> None:
    paths = tables(lake)
    seen = 0
    for dataset in declared():
        personal = {column.name for column in dataset.columns if column.is_pii}
        for _, action in actions(paths[dataset.name]) if dataset.name in paths else ():
            if (add := action.get("add")) and add.get("stats"):
                kept = json.loads(add["stats"])
                seen += 1
                assert not personal & {*kept.get("minValues", {}), *kept.get("maxValues", {})}, dataset.name
                assert not personal & set(add["partitionValues"]), dataset.name
    assert seen > len(paths)


def test_no_statistics_of_a_personal_column_stand_in_a_file(lake: Path) -> None:
    paths = tables(lake)
    looked_at = 0
    for dataset in declared():
        personal = {column.name for column in dataset.columns if column.is_pii}
        for file in paths[dataset.name].rglob("*.parquet") if dataset.name in paths else ():
            if "_delta_log" in file.parts:
                continue
            footer = pq.ParquetFile(file).metadata
            for group in range(footer.num_row_groups):
                for position in range(footer.num_columns):
                    column = footer.row_group(group).column(position)
                    if column.path_in_schema.partition(".")[0] in personal:
                        looked_at += 1
                        known = column.statistics
                        assert known is None or not known.has_min_max, f"{dataset.name}.{column.path_in_schema}"
    assert looked_at
