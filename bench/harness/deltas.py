"""What lands after a full build: the last days of some customers, or changes all over history."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from pipelines.sample import land_sample

_CUSTOMER = re.compile(rb"\bC\d{7}\b")
_TICKETS = "support/tickets"


def land_last_days(landing: Path, *, customers: int, until: date, share: float) -> int:
    """Continue the sample in ``landing`` to ``until``, but only for ``share`` of all ``customers``: of those who have something new in
    these days, that many, with all that is new of them. Returns how many they are."""
    beside = landing.with_name("continued")
    shutil.copytree(landing, beside)  # with the times of the files
    written = land_sample(beside, customers=customers, until=until).written
    chosen = _chosen((_customers_of(beside / name) for name in written), round(customers * share))
    for name in written:
        _land_part(beside / name, landing / name, chosen)
    _land_tickets(beside / _TICKETS, landing / _TICKETS, chosen)
    shutil.rmtree(beside)
    return len(chosen)


def land_changes(landing: Path, lake: Path, *, one_in: int) -> dict[str, int]:
    """New versions of one in ``one_in`` records of every source, whoever's and however old: lines of another quantity, events of another
    page, customers of another tier, tickets of another priority. Returns how many of each."""
    connection = duckdb.connect(config={"memory_limit": "2GiB"})
    connection.execute("SET TimeZone = 'UTC'")

    def bronze(noun: str, key: str, changes: str, *instants: str) -> str:
        files = DeltaTable(lake / "bronze" / noun).file_uris()
        written = ", ".join([changes, *(f"{instant} AT TIME ZONE 'UTC' AS {instant}" for instant in instants)])
        return f"""SELECT COLUMNS('^[^_]') FROM (
            SELECT * REPLACE ({written}) FROM read_parquet({files}) WHERE _corrupt_record IS NULL AND hash({key}) % {one_in} = 0)"""

    orders = bronze("ecommerce_orders", "order_id, line_number", "quantity + 1 AS quantity", "order_ts")
    customers = bronze("crm_customers", "customer_id, updated_at", "'gold' AS loyalty_tier", "created_at", "updated_at")
    events = bronze("web_events", "event_id", "page_url || '?changed' AS page_url")
    counts = {
        "ecommerce/orders": _write(connection, orders, landing / "ecommerce/orders/changes.csv", "FORMAT csv, HEADER"),
        "crm/customers": _write(connection, customers, landing / "crm/customers/changes.json", "FORMAT json"),
        "web/events": _write(connection, events, landing / "web/events/changes.parquet", "FORMAT parquet"),
    }
    files = DeltaTable(landing / _TICKETS).file_uris()
    changed = f"SELECT * REPLACE (if(priority = 'low', 'high', 'low') AS priority) FROM read_parquet({files}) WHERE hash(ticket_id) % {one_in} = 0"
    tickets = connection.execute(changed).to_arrow_table()
    _merge(landing / _TICKETS, tickets.append_column("_gone", pa.repeat(False, tickets.num_rows)))
    return {**counts, _TICKETS: tickets.num_rows}


def _chosen(seen: Iterator[set[str]], count: int) -> set[str]:
    return set(sorted(set().union(*seen), key=lambda customer: sha256(customer.encode()).digest())[:count])


def _customers_of(file: Path) -> set[str]:
    if file.suffix == ".parquet":
        table = _readable(file)
        return set() if table is None else set(pc.unique(_customer_column(table)).drop_null().to_pylist())
    return {found.decode() for found in _CUSTOMER.findall(file.read_bytes())}


def _land_part(source: Path, target: Path, chosen: set[str]) -> None:
    unfinished = target.with_name(f".{target.name}.part")
    if source.suffix == ".parquet":
        table = _readable(source)
        if table is None:
            return
        pq.write_table(table.filter(pc.is_in(_customer_column(table), pa.array(sorted(chosen)))), unfinished)
    else:
        keep = _keeps(chosen)
        lines = source.read_bytes().splitlines(keepends=True)
        head = lines[:1] if source.suffix == ".csv" else []
        unfinished.write_bytes(b"".join([*head, *filter(keep, lines)]))
    unfinished.rename(target)


def _keeps(chosen: set[str]) -> Callable[[bytes], bool]:
    return lambda line: (found := _CUSTOMER.search(line)) is not None and found.group().decode() in chosen


def _readable(file: Path) -> pa.Table | None:
    """A Parquet file's rows; None for one of the sample's broken ones."""
    try:
        return pq.read_table(file)
    except pa.ArrowInvalid:
        return None


def _customer_column(table: pa.Table) -> pa.ChunkedArray:
    return table.column(next(name for name in table.column_names if name.lower() == "customer_id"))


def _land_tickets(source: Path, target: Path, chosen: set[str]) -> None:
    """Bring the tickets of the chosen to the state that they have in the continued table."""
    ids = pa.array(sorted(chosen))
    old, new = (DeltaTable(path).to_pyarrow_table() for path in (target, source))
    rows = new.filter(pc.is_in(new.column("customer_id"), ids))
    gone = pc.and_(
        pc.is_in(old.column("customer_id"), ids), pc.invert(pc.is_in(old.column("ticket_id"), rows.column("ticket_id")))
    )
    deleted = old.filter(gone)
    marked = [
        part.append_column("_gone", pa.repeat(flag, part.num_rows)) for part, flag in ((rows, False), (deleted, True))
    ]
    _merge(target, pa.concat_tables(marked))


def _merge(folder: Path, rows: pa.Table) -> None:
    written = {f'"{name}"': f's."{name}"' for name in rows.column_names if name != "_gone"}
    different = " OR ".join(
        f'(s."{name}" IS DISTINCT FROM t."{name}")' for name in rows.column_names if name != "_gone"
    )
    merger = DeltaTable(folder).merge(rows, "t.ticket_id = s.ticket_id", source_alias="s", target_alias="t")
    merger.when_matched_delete("s._gone").when_matched_update(written, predicate=different).when_not_matched_insert(
        written, predicate="NOT s._gone"
    ).execute()


def _write(connection: duckdb.DuckDBPyConnection, query: str, target: Path, form: str) -> int:
    """Write a query's rows as a file that appears whole; returns how many there are."""
    unfinished = target.with_name(f".{target.name}.part")
    row = connection.execute(f"COPY ({query}) TO '{unfinished}' ({form})").fetchone()
    unfinished.rename(target)
    assert row is not None
    return int(row[0])
