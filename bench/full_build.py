"""What does the whole way from files to gold cost beside the same steps written by hand, and beside Spark?

    python -m bench.full_build [--customers 200000] [--rounds 3] [--spark] [--datasets]

Ours (ingest that loses nothing, expectations, quarantine, leases, fences, checkpoints) and `bench.peers.build` (none of that) build
every dataset of the daily pipeline from the same landed sample, in turn, each in a process of its own, with the same memory
limit for DuckDB. All rows are compared first: figures of builds that differ mean nothing. What is compared and what is not is
told in `bench.harness.rows`. The publication to the online store is left out on both sides.

``--spark``: ours on the embedded engine beside ours on Spark, local[*] with Delta, shuffle partitions = cores, 8 GB for the driver.
Spark's start-up is left out: time begins when the first session has answered a query.

Printed: by round, wall and CPU seconds of the whole process (and inside: without interpreter, imports and exit) and peak
memory; last the ratios beside their goals, as median [least-most] over the rounds. ``--datasets`` adds our seconds by dataset.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.harness.lake import AS_OF, UNTIL, built_datasets, daily, forget
from bench.harness.process import Cost, load, measured, spread
from bench.harness.rows import compare
from pipelines.sample import land_sample

GOAL_BY_HAND, GOAL_SPARK = 1.5, 4.0


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        landed = land_sample(home / "landing", customers=options.customers, until=UNTIL)
        print(f"{options.customers} customers, records {dict(landed.records)}", flush=True)
        if options.spark:
            _beside_spark(home, options.rounds, datasets=options.datasets)
        else:
            _beside_hand(home, options.rounds, datasets=options.datasets)


def _beside_hand(home: Path, rounds: int, *, datasets: bool) -> None:
    def ours() -> Cost:
        forget(home)
        return daily(home, publishing=False)

    def by_hand() -> Cost:
        shutil.rmtree(home / "peer", ignore_errors=True)
        command = [
            sys.executable,
            "-m",
            "bench.peers.build",
            str(home / "landing"),
            str(home / "peer"),
            AS_OF.isoformat(),
        ]
        return measured(command)

    def check() -> int:
        return compare(home / "lake", home / "peer", built_datasets())

    costs = _interleaved("by hand", ours, by_hand, check, rounds, datasets=datasets)
    for figure in ("wall", "inner_wall", "cpu", "inner_cpu", "peak_mb"):
        ratios = [getattr(one, figure) / getattr(other, figure) for one, other in costs]
        goal = f" (goal: at most {GOAL_BY_HAND})" if figure in ("wall", "inner_wall") else ""
        print(f"{figure}, ours / by hand: {spread(ratios)} of {rounds} rounds{goal}")


def _beside_spark(home: Path, rounds: int, *, datasets: bool) -> None:
    """Spark builds in a home of its own, over the same landing zone."""
    other = home / "spark"
    other.mkdir()
    (other / "landing").symlink_to(home / "landing")

    def ours() -> Cost:
        forget(home)
        return daily(home, publishing=False)

    def on_spark() -> Cost:
        forget(other)
        return daily(other, engine="spark", publishing=False)

    def check() -> int:
        return compare(home / "lake", other / "lake", built_datasets())

    costs = _interleaved("on Spark", ours, on_spark, check, rounds, datasets=datasets)
    wall = [spark.inner_wall / ours.inner_wall for ours, spark in costs]
    cpu = [(spark.inner_cpu + spark.told["jvm_cpu"]) / ours.inner_cpu for ours, spark in costs]
    peak = [(spark.peak_mb + spark.told["jvm_peak_mb"]) / ours.peak_mb for ours, spark in costs]
    print(f"wall, Spark / ours, start-up excluded: {spread(wall)} of {rounds} rounds (goal: at least {GOAL_SPARK})")
    print(f"CPU, Spark (with its JVM) / ours, start-up excluded: {spread(cpu)}; peak memory: {spread(peak)}")


def _interleaved(
    name: str,
    ours: Callable[[], Cost],
    other: Callable[[], Cost],
    check: Callable[[], int],
    rounds: int,
    *,
    datasets: bool,
) -> Sequence[tuple[Cost, Cost]]:
    """Both builds once a round, in changing order; the rows are compared in every round before its figures count."""
    costs = []
    for turn in range(rounds):
        if turn % 2:
            theirs, mine = other(), ours()
        else:
            mine, theirs = ours(), other()
        rows = check()
        costs.append((mine, theirs))
        print(f"round {turn + 1} ({load()}; {rows} rows are the same)\n  ours: {mine}\n  {name}: {theirs}", flush=True)
        if datasets:
            print(
                "  ours by dataset:", ", ".join(f"{noun} {seconds}" for noun, seconds in mine.told["datasets"].items())
            )
    return costs


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spark", action="store_true", help="beside Spark instead of the hand-written build")
    parser.add_argument("--datasets", action="store_true", help="our seconds by dataset too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
