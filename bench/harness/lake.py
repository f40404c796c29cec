"""Our side of a benchmark: daily runs of our own pipeline over a landed sample, each in a process of its own.

    python -m bench.harness.lake HOME AS_OF [--engine spark] [--no-publishing]

does one run and reports what it took from the point where engine, store and control database are ready, to the last commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from bench.harness.process import Cost, Stopwatch, measured, memory_kb
from kit.db import Base, Database
from kit.settings import Settings
from lakehouse.catalog import Catalog
from lakehouse.engine import Engine
from pipelines.catalog import load_catalog
from pipelines.compose import flow_context, open_engine, open_store
from pipelines.runner import datasets_of, run_pipeline

UNTIL, AS_OF = date(2026, 5, 31), date(2026, 6, 1)
"""Last day of the landed sample, and the date of the runs over it."""

SPARK_MEMORY_MB = 8192

Used = Callable[[], dict[str, float]]
"""What an engine has used outside of this process."""


def daily(
    home: Path, *, as_of: date = AS_OF, engine: str = "embedded", publishing: bool = True, **settings: str
) -> Cost:
    """The cost of a daily run in a new process; ``settings`` as ``memory_limit_mb="1024"``. ``told`` has the commits, the seconds
    by dataset, and those of the publication."""
    command = [sys.executable, "-m", "bench.harness.lake", str(home), as_of.isoformat(), "--engine", engine]
    environment = {f"C360_{name.upper()}": value for name, value in settings.items()}
    return measured(command if publishing else [*command, "--no-publishing"], environment)


def forget(home: Path) -> None:
    """Everything but what has landed, so that the next run builds all of it."""
    for name in ("lake", "online", "scratch"):
        shutil.rmtree(home / name, ignore_errors=True)
    (home / "control.db").unlink(missing_ok=True)


def built_datasets() -> list[str]:
    """What the daily build makes of the landed files; what runs note of themselves (layer quality) is left out."""
    return [dataset.name for dataset in datasets_of("daily", load_catalog()) if dataset.layer != "quality"]


def main() -> None:
    options = _options()
    settings = Settings(home=options.home)
    database = Database(settings.control_database_url)
    Base.metadata.create_all(database.engine)
    opened = _spark_engine(settings) if options.engine == "spark" else _embedded_engine(settings)
    with opened as (engine, used), open_store(settings) as store:
        catalog = load_catalog()
        if not options.publishing:
            catalog = Catalog(replace(dataset, serving=None) for dataset in catalog)
        context = flow_context(
            settings, database, engine, run_id=f"bench-{time.time_ns()}", as_of=options.as_of, progress=lambda *_: None
        )
        watch, before, began = Stopwatch.start(), used(), time.perf_counter()
        result = run_pipeline("daily", replace(context, catalog=catalog), store)
        whole = time.perf_counter() - began
        outside = {
            name: value - before.get(name, 0.0) if name.endswith("_cpu") else value for name, value in used().items()
        }
        datasets = {flow.dataset: round(flow.seconds, 2) for flow in result.datasets}
        watch.report(
            commits=result.commits,
            rows_written=sum(flow.rows_written for flow in result.datasets),
            published=sum(view.written for view in result.published),
            publishing=round(whole - sum(datasets.values()), 2),
            datasets=datasets,
            **outside,
        )
    database.close()


@contextmanager
def _embedded_engine(settings: Settings) -> Iterator[tuple[Engine, Used]]:
    with open_engine(settings) as engine:
        yield engine, dict


@contextmanager
def _spark_engine(settings: Settings) -> Iterator[tuple[Engine, Used]]:
    """Spark on all cores, as many shuffle partitions (pipelines.compose would start it so too), with memory enough not to spill."""
    from lakehouse.spark.engine import SparkEngine
    from lakehouse.spark.launch import launch

    spark = launch("local[*]", settings.spark_jars, settings.scratch, SPARK_MEMORY_MB)
    spark.range(1).count()  # the first session is ready
    jvm = spark.sparkContext._gateway.proc.pid

    def used() -> dict[str, float]:
        ticks = Path(f"/proc/{jvm}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
        return {
            "jvm_cpu": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
            "jvm_peak_mb": memory_kb("VmHWM", jvm) >> 10,
        }

    try:
        yield SparkEngine(settings.lake, spark, settings.scratch), used
    finally:
        spark.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("as_of", type=date.fromisoformat)
    parser.add_argument("--engine", choices=("embedded", "spark"), default="embedded")
    parser.add_argument("--no-publishing", dest="publishing", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    main()
