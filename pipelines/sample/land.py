"""Writes the sample into a landing zone: whole files, dated by business day, the same bytes for the same parameters."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow.parquet as pq

from kit.errors import Conflict, Invalid
from pipelines.sample.behaviour import HISTORY_DAYS, build_population, simulate
from pipelines.sample.crm import CrmCustomers
from pipelines.sample.deliveries import Rendered, Source
from pipelines.sample.draws import Draws
from pipelines.sample.exchange_rates import ExchangeRates
from pipelines.sample.file_plans import FilePlan, plan_files
from pipelines.sample.help_desk import land_tickets
from pipelines.sample.manifest import Manifest
from pipelines.sample.orders import EcommerceOrders
from pipelines.sample.text import joined_bytes
from pipelines.sample.tickets import SupportTickets
from pipelines.sample.web_events import WebEvents

FOLDERS = (CrmCustomers.folder, EcommerceOrders.folder, ExchangeRates.folder, WebEvents.folder)
DELIVERIES_AT_ONCE = 100_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Progress = Callable[[str, int, int], None]


class InvalidSampleSize(Invalid):
    """A sample of no customers."""

    code = "sample.invalid_size"


class OtherSampleLanded(Conflict):
    """The landing zone holds the sample of another seed or size."""

    code = "sample.other_sample_landed"


class LandingNotEmpty(Conflict):
    """The landing zone holds files that are not a sample's."""

    code = "sample.landing_not_empty"


@dataclass(frozen=True, slots=True)
class LandedSample:
    """What of the sample lies in the landing zone now. Counts are by source folder, such as ``crm/customers``.

    ``files`` are all of the sample's, relative to the landing zone, ``written`` those that this call wrote. ``records``
    counts the lines besides headers, and the rows, copies and malformed ones included, and the changed rows of the help desk's
    table. ``injected`` counts the dirt by its names in
    ``pipelines.sample.faults`` (records) and by the names that end in ``_file`` (files). ``until`` is the last day.
    """

    until: date
    files: tuple[str, ...]
    written: tuple[str, ...]
    records: Mapping[str, int]
    injected: Mapping[str, Mapping[str, int]]


def land_sample(
    landing: Path, *, customers: int, until: date, seed: int = 7, progress: Progress | None = None
) -> LandedSample:
    """Land three years of files of the CRM, the shop and finance, half a year of web analytics, and the help desk's table;
    ``until`` is their last day.

    ``customers`` is how many there are by then. The same parameters give the same bytes and modification times. Landed
    again with the same ``customers`` and ``seed``, a later ``until`` adds the files of the days between (new data for a
    demo), an earlier or equal one writes nothing. Files appear whole, under their final name. The help desk's table is a
    Delta table: it has the same rows for the same parameters, and a commit for each day. ``progress`` is told
    (folder, files written, files in all). Raises OtherSampleLanded, or LandingNotEmpty where the source folders hold
    files that are not the sample's.
    """
    if customers < 1:
        raise InvalidSampleSize("a sample needs at least one customer")
    manifest = _open_manifest(landing, customers, seed, until)
    written: list[str] = []
    if manifest.landed_until != manifest.landing_until:
        written += _land(landing, manifest, progress)
    if manifest.landing_until < until:
        manifest.landing_until = until
        manifest.write(landing)
        written += _land(landing, manifest, progress)
    return LandedSample(
        manifest.landing_until, tuple(manifest.files), tuple(written), manifest.records, manifest.injected
    )


def _open_manifest(landing: Path, customers: int, seed: int, until: date) -> Manifest:
    manifest = Manifest.read(landing)
    if manifest is not None:
        if (manifest.customers, manifest.seed) != (customers, seed):
            raise OtherSampleLanded(
                f"the landing zone holds a sample of {manifest.customers} customers, seed {manifest.seed}: "
                "land with these, or choose another home"
            )
        return manifest
    for folder in (*FOLDERS, SupportTickets.folder):
        if (landing / folder).exists() and any((landing / folder).iterdir()):
            raise LandingNotEmpty(
                f"{folder} in the landing zone holds files that are not of a sample: choose an empty landing zone"
            )
    for folder in FOLDERS:
        (landing / folder).mkdir(parents=True, exist_ok=True)
    manifest = Manifest(customers, seed, first_until=until, landing_until=until)
    manifest.write(landing)
    return manifest


def _land(landing: Path, manifest: Manifest, progress: Progress | None) -> list[str]:
    """Write every file from ``landed_until`` to ``landing_until``, then record that they are complete."""
    first_day = manifest.first_until - timedelta(days=HISTORY_DAYS - 1)
    after = (manifest.landing_until - first_day).days + 1
    start = (manifest.landed_until - first_day).days + 1 if manifest.landed_until else 0
    written: list[str] = []
    records: Counter[str] = Counter()
    injected: dict[str, Counter[str]] = {}
    sources, tickets = _build_sources(manifest, first_day, after)
    for source in sources:
        plans = list(plan_files(source, first_day, start, after))
        counts = injected.setdefault(source.folder, Counter())
        for done, plan in enumerate(plans, start=1):
            records[source.folder] += _write_file(landing, source, plan, counts)
            written.append(plan.path)
            if progress is not None:
                progress(source.folder, done, len(plans))
    first_after = (manifest.first_until - first_day).days + 1
    records[tickets.folder], injected[tickets.folder] = land_tickets(
        landing, tickets, range(start, after), first_after, partial(progress or _unheard, tickets.folder)
    )
    manifest.files += written
    manifest.records.update(records)
    for folder, counts in injected.items():
        manifest.injected.setdefault(folder, Counter()).update(counts)
    manifest.landed_until = manifest.landing_until
    manifest.write(landing)
    return written


def _build_sources(manifest: Manifest, first_day: date, days: int) -> tuple[tuple[Source, ...], SupportTickets]:
    draws = Draws(manifest.seed)
    population = build_population(draws, manifest.customers, first_day, days)
    orders, versions = simulate(draws, population, days)
    files = (
        CrmCustomers(draws, population, versions),
        EcommerceOrders(draws, population, orders),
        ExchangeRates(draws, first_day, days),
        WebEvents(draws, population, orders, days),
    )
    return files, SupportTickets(draws, population, orders)


def _write_file(landing: Path, source: Source, plan: FilePlan, injected: Counter[str]) -> int:
    """Write one file under another name, date it, and move it into place; answer the number of its records."""
    path = landing / plan.path
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("wb") as file:
        write = _write_rows if source.suffix == ".parquet" else _write_lines
        records, found = (0, Counter[str]()) if plan.is_empty else write(file, source, plan)
        if plan.is_torn:
            file.truncate(file.tell() // 2)
            records, found = 0, Counter()
        injected.update(found)
    os.utime(unfinished, (plan.modified.timestamp(), plan.modified.timestamp()))
    unfinished.replace(path)
    injected["empty_file"] += plan.is_empty
    injected["byte_order_mark_file"] += plan.form.byte_order_mark
    injected["crlf_file"] += plan.form.newline == "\r\n"
    injected["header_case_file"] += plan.form.header_case != "lower"
    injected["extended_file"] += plan.form.extended
    injected["text_instants_file"] += plan.form.text_instants
    injected["torn_file"] += plan.is_torn
    return records


def _write_lines(file: BinaryIO, source: Source, plan: FilePlan) -> tuple[int, Counter[str]]:
    records, injected = 0, Counter[str]()
    file.write(BYTE_ORDER_MARK if plan.form.byte_order_mark else b"")
    file.write(source.header(plan.form).encode())
    for rendered in _render(source, plan):
        file.write(joined_bytes(rendered.lines))
        injected.update(rendered.injected)
        records += len(rendered.lines)
    return records, injected


def _write_rows(file: BinaryIO, source: Source, plan: FilePlan) -> tuple[int, Counter[str]]:
    """As Parquet, without a word on Arrow in it: as other systems write it."""
    records, injected = 0, Counter[str]()
    parts = _render(source, plan)
    first = next(parts)
    with pq.ParquetWriter(file, first.lines.schema, compression="zstd", store_schema=False) as writer:
        for rendered in chain((first,), parts):
            writer.write_table(rendered.lines)
            injected.update(rendered.injected)
            records += rendered.lines.num_rows
    return records, injected


def _render(source: Source, plan: FilePlan) -> Iterator[Rendered]:
    for first in range(plan.first, plan.after, DELIVERIES_AT_ONCE):
        yield source.render(np.arange(first, min(first + DELIVERIES_AT_ONCE, plan.after)), plan.form)


def _unheard(_folder: str, _done: int, _total: int) -> None:
    """Progress that nobody asked for."""
