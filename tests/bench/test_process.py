"""What a benchmark says of a process is that process's own."""

import sys

from bench.harness.process import measured
from tests.fixtures.parts import require_proc

_REPORTS = (
    "from bench.harness.process import Stopwatch; held = b'x' * (50 << 20); del held; Stopwatch.start().report(rows=7)"
)


def test_the_peak_is_not_that_of_the_process_that_started_it() -> None:
    require_proc()
    held = b"x" * (400 << 20)
    cost = measured([sys.executable, "-c", _REPORTS])
    assert len(held) == 400 << 20
    assert 50 <= cost.peak_mb < 400
    assert cost.told == {"rows": 7}
