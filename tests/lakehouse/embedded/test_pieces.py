"""In how many buckets a whole table is computed, by what the query reads, not by all that is stored; and how it is cut into them."""

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.engine import Restriction
from tests.fixtures.engines import AS_OF

ROWS = 200_000
NARROW, WIDE = "silver.narrow", "silver.wide"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedEngine:
    """A table of one small column, and one that has a struct of 16 MB beside it, which no codec makes smaller."""
    folder = tmp_path_factory.mktemp("pieces")
    flag = pa.array(["yes", "no"] * (ROWS // 2))
    random = np.random.default_rng(7).bytes(ROWS * 80)
    noise = pa.array([random[start : start + 80] for start in range(0, len(random), 80)])
    payload = pa.StructArray.from_arrays([noise], names=["body"])
    write_deltalake(folder / "lake/silver/narrow", pa.table({"flag": pa.array(["yes"] * 5 * ROWS)}))
    write_deltalake(folder / "lake/silver/wide", pa.table({"flag": flag, "payload": payload}))
    return EmbeddedEngine(folder / "lake", scratch=folder / "scratch", memory_limit_mb=64, threads=1)


def test_a_table_that_fits_is_one_piece(engine: EmbeddedEngine) -> None:
    assert engine.pieces({NARROW: ["flag"]}) == 1


def test_only_columns_that_are_read_count(engine: EmbeddedEngine) -> None:
    assert engine.pieces({WIDE: ["flag"]}) == 1
    # 16 MB of a struct's members may need 192 MB, which is 4 times 1.5 times 32 MB
    assert engine.pieces({WIDE: ["flag", "payload"]}) > 2


def test_tables_add_up(engine: EmbeddedEngine) -> None:
    one = engine.pieces({WIDE: ["payload"]})
    assert engine.pieces({WIDE: ["payload"], NARROW: ["flag"]}) >= one
    assert engine.pieces({WIDE: ["payload"], "silver.missing": ["flag"]}) == one


def test_rows_count_however_well_they_are_compressed(engine: EmbeddedEngine) -> None:
    smaller = EmbeddedEngine(engine._lake, scratch=engine._scratch, memory_limit_mb=8, threads=1)
    assert smaller.pieces({NARROW: []}) == 3  # 16 MB for a million rows, 2.7 times 1.5 times what there is: 4 MB


def test_a_table_is_cut_once_for_all_buckets_and_nothing_of_it_outlives_the_session(engine: EmbeddedEngine) -> None:
    with engine.session(AS_OF) as session:
        counts, cut = [], set()
        for bucket in range(4):
            part = Restriction(("payload.body",), bucket=bucket, buckets=4, columns=("flag", "payload"))
            session.bind("part", WIDE, 0, part)
            counts.append(session.fetch("SELECT flag FROM part").num_rows)
            cut |= {file.stat().st_ino for file in engine._scratch.rglob("*.parquet")}
        assert sum(counts) == ROWS
        assert min(counts) > ROWS // 5
        assert len(cut) == 4
    assert not list(engine._scratch.rglob("*.parquet"))
