"""Freed memory goes back to the operating system; each case in a process of its own, for allocators are chosen once."""

import os
import subprocess
import sys

import pytest

from tests.fixtures.parts import require_proc

_ENGINE = """
import {}, os, pathlib, pyarrow
from lakehouse.embedded.engine import EmbeddedEngine
EmbeddedEngine(pathlib.Path("lake"), scratch=pathlib.Path("scratch"))
print(pyarrow.default_memory_pool().backend_name, os.environ["_RJEM_MALLOC_CONF"])
"""

_TRIM = """
from bench.harness.process import memory_kb
from lakehouse.allocators import give_back

rows = [b"x" * 100_000 for _ in range(3_000)]  # small enough for the heap, whose end the last one holds
last = rows[-1]
rows.clear()
before = memory_kb("VmRSS")
give_back()
print(before - memory_kb("VmRSS") >> 10)
"""


def _printed(code: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ARROW_", "_RJEM_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**inherited, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("entry", ["cli.main", "pipelines.__main__", "lakehouse.embedded.engine"])
def test_processes_have_allocators_that_give_back(entry: str) -> None:
    assert _printed(_ENGINE.format(entry)) == "system dirty_decay_ms:200,muzzy_decay_ms:0"


@pytest.mark.parametrize("entry", ["cli.main", "pipelines.__main__", "api.app"])
def test_delta_rs_is_configured_before_it_is_imported(entry: str) -> None:
    code = f"""
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "deltalake":
            import os
            assert "_RJEM_MALLOC_CONF" in os.environ
sys.meta_path.insert(0, Watch())
import {entry}, deltalake
"""
    _printed(code)


def test_what_the_installation_has_chosen_stays() -> None:
    chosen = {"ARROW_DEFAULT_MEMORY_POOL": "mimalloc", "_RJEM_MALLOC_CONF": "dirty_decay_ms:5000"}
    assert _printed(_ENGINE.format("cli.main"), **chosen) == "mimalloc dirty_decay_ms:5000"


def test_what_the_heap_keeps_is_given_back() -> None:
    require_proc()
    assert int(_printed(_TRIM)) > 200  # MB of the 300 that were freed
