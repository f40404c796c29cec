"""How fast landing files become typed Arrow: ``python -m bench.ingest_reader``.

Writes orders (CSV, 13 columns) and customers (NDJSON with a nested address) to a temporary folder, reads them with
`lakehouse.files.reader`, each in a process of its own, and prints rows per second of CPU and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from bench.harness.process import memory_kb
from lakehouse.dataset import AutoLoader, Column, Dataset, NoSubject
from lakehouse.files.listing import list_files
from lakehouse.files.reader import read_files

ORDERS = {
    "order_id": "STRING",
    "line_number": "INT",
    "customer_id": "STRING",
    "order_ts": "TIMESTAMP",
    "product_id": "STRING",
    "product_name": "STRING",
    "product_category": "STRING",
    "quantity": "INT",
    "unit_price": "DECIMAL(18,6)",
    "discount_pct": "DECIMAL(9,4)",
    "currency": "STRING",
    "payment_method": "STRING",
    "status": "STRING",
}
CUSTOMERS = {
    "customer_id": "STRING",
    "email": "STRING",
    "first_name": "STRING",
    "last_name": "STRING",
    "phone": "STRING",
    "date_of_birth": "DATE",
    "address": "STRUCT<street: STRING, city: STRING, state: STRING, postal_code: STRING, country: STRING>",
    "loyalty_tier": "STRING",
    "marketing_consent": "BOOLEAN",
    "created_at": "TIMESTAMP",
    "updated_at": "TIMESTAMP",
}
_BRONZE = {
    "_corrupt_record": "STRING",
    "_rescued_data": "STRING",
    "_ingested_at": "TIMESTAMP",
    "_source_file": "STRING",
    "_file_modification_time": "TIMESTAMP",
    "_row_number": "BIGINT",
    "_datasource": "STRING",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2_000_000, help="CSV lines")
    parser.add_argument("--customers", type=int, default=200_000, help="JSON lines")
    parser.add_argument("--dirt", type=float, default=0.005, help="share of lines with a value that does not fit")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        landing = Path(folder)
        _write(landing / "clean.csv", _orders(chosen.orders, 0.0))
        _write(landing / "dirty.csv", _orders(chosen.orders, chosen.dirt))
        _write(landing / "clean.json", _customers(chosen.customers, 0.0))
        _write(landing / "dirty.json", _customers(chosen.customers, chosen.dirt))
        for day in range(365):
            _write(landing / "days" / f"{day:03}.csv", _orders(40, 0.0))
        for pattern, columns in (
            ("clean.csv", ORDERS),
            ("dirty.csv", ORDERS),
            ("clean.json", CUSTOMERS),
            ("dirty.json", CUSTOMERS),
            ("days/*.csv", ORDERS),
        ):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                print(process.submit(measure, landing, pattern, columns).result(), flush=True)


def measure(landing: Path, pattern: str, columns: dict[str, str]) -> str:
    """Read the files that match and say how long it took."""
    everything = {**columns, **_BRONZE}
    dataset = Dataset(
        name="bronze.bench",
        comment="Rows of the benchmark",
        columns=tuple(Column(name, kind, "") for name, kind in everything.items()),
        flow=AutoLoader(pattern, pattern.rpartition(".")[2], "bench"),
        subject=NoSubject("generated"),
    )
    before = memory_kb("VmHWM") / 1024
    unreadable: list[str] = []
    cpu, wall = time.process_time(), time.perf_counter()
    files = list_files(landing, pattern)
    batches = read_files(landing, files, dataset, datetime.now(UTC), lambda file, _: unreadable.append(file.path))
    rows = sum(batch.num_rows for batch in batches)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = memory_kb("VmHWM") / 1024
    return (
        f"{pattern:12} {len(files):4} files {rows:>9,} rows  {cpu:6.2f} s CPU {wall:6.2f} s wall  {rows / cpu:>10,.0f} rows/s"
        f"  peak {peak:,.0f} MiB (start {before:,.0f}){'  UNREADABLE: ' + ', '.join(unreadable) if unreadable else ''}"
    )


def _write(path: Path, lines: Iterator[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def _orders(count: int, dirt: float) -> Iterator[str]:
    yield ",".join(ORDERS)
    step = int(1 / dirt) if dirt else count + 1
    for n in range(count):
        moment = f"20{10 + n % 15}-{1 + n % 12:02}-{1 + n % 28:02} {n % 24:02}:{n % 60:02}:{n * 7 % 60:02}"
        price = "1,5x" if n % step == step - 1 else f"{n % 500}.{n % 100:02}"
        name = f'"Chair, no. {n % 40}"' if n % 5 == 0 else f"Table {n % 40}"
        yield (
            f"O{n // 3:08},{n % 3 + 1},C{n % 90_000:07},{moment},P{n % 4000:05},{name},home,{n % 9 + 1},{price},"
            f"{'' if n % 4 else '12.5'},EUR,card,completed"
        )


def _customers(count: int, dirt: float) -> Iterator[str]:
    step = int(1 / dirt) if dirt else count + 1
    for n in range(count):
        if n % step == step - 1:
            yield f'{{"customer_id": "C{n:07}", "email": "broken'
            continue
        record = {
            "customer_id": f"C{n:07}",
            "email": f"customer{n}@example.com",
            "first_name": "Zoë",
            "last_name": f"Example {n % 300}",
            "phone": f"+49 30 {n:07}",
            "date_of_birth": f"19{50 + n % 50}-{1 + n % 12:02}-{1 + n % 28:02}",
            "address": {
                "street": f"{n % 90} Main St",
                "city": "Köln",
                "state": "NW",
                "postal_code": "50667",
                "country": "DE",
            },
            "loyalty_tier": "gold",
            "marketing_consent": n % 2 == 0,
            "created_at": f"2023-{1 + n % 12:02}-{1 + n % 28:02}T10:{n % 60:02}:00Z",
            "updated_at": f"2024-{1 + n % 12:02}-{1 + n % 28:02}T10:{n % 60:02}:00.{n % 1_000_000:06}Z",
        }
        yield json.dumps(record)


if __name__ == "__main__":
    main()
