"""Does a build of ten times the data stay within bounds when the engine may use 1 GB?

    python -m bench.bounded_memory [--customers 200000] [--factor 10] [--memory-limit-mb 1024]

Full builds by our pipeline of N and of ``factor`` × N customers' samples, each in a process of its own. Printed: seconds, peak resident
memory of the whole process, the ratio by dataset, and last the ratio of the times; goals: 1.5 GB, and 1.1 × ``factor``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.harness.lake import UNTIL, daily
from bench.harness.process import Cost, load
from pipelines.sample import land_sample

GOAL_PEAK_MB, GOAL_TIME = 1536, 1.1


def main() -> None:
    options = _options()
    small, large = (
        _build(customers, options.memory_limit_mb)
        for customers in (options.customers, options.customers * options.factor)
    )
    for dataset, seconds in large.told["datasets"].items():
        before = max(small.told["datasets"][dataset], 0.01)  # they are told to the hundredth
        print(f"  {dataset}: {before:.1f} s, then {seconds:.1f} s, {seconds / before:.1f} ×")
    for figure in ("inner_wall", "inner_cpu"):
        ratio = getattr(large, figure) / getattr(small, figure)
        print(f"{figure}, {options.factor} × the data: {ratio:.1f} × (goal: at most {GOAL_TIME * options.factor:.0f})")
    print(f"peak: {large.peak_mb} MB (goal: at most {GOAL_PEAK_MB})")


def _build(customers: int, memory_limit_mb: int) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        landed = land_sample(home / "landing", customers=customers, until=UNTIL)
        cost = daily(home, publishing=False, memory_limit_mb=str(memory_limit_mb))
    print(f"{customers} customers, {sum(landed.records.values())} records ({load()}): {cost}", flush=True)
    return cost


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--factor", type=int, default=10)
    parser.add_argument("--memory-limit-mb", type=int, default=1024)
    return parser.parse_args()


if __name__ == "__main__":
    main()
