"""``python -m pipelines run NAME …``: one job of a run, wherever a runner has started it (pipelines.job)."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from kit.code_version import code_version
from kit.db import Database
from kit.errors import Invalid
from kit.logging import configure, correlate
from kit.settings import Settings
from pipelines.compose import flow_context, open_engine, open_store
from pipelines.job import Carried, JobRequest, serve_job
from pipelines.runner import PipelineResult, check_pipeline, run_pipeline
from pipelines.stream import INTERVAL_SECONDS, Totals, run_stream


class UnknownParameter(Invalid):
    """The job has no parameter of that name, or not with that value; the message lists those there are."""

    code = "pipeline.unknown_parameter"


def carry_out(request: JobRequest, job: Carried) -> dict[str, Any]:
    """Run the pipeline on the installation's own settings; returns the record."""
    check_pipeline(request.pipeline)
    buckets, interval = _parameters(request)
    settings = Settings(home=request.home) if request.home is not None else Settings()
    configure("job", level=settings.log_level, as_json=settings.log_as_json)
    correlate(run_id=request.run_id)
    with open_engine(settings, request.engine) as engine, open_store(settings) as store:
        context = flow_context(
            settings,
            Database(settings.control_database_url),
            engine,
            run_id=request.run_id,
            as_of=request.as_of,
            full_refresh=request.full_refresh,
            buckets=buckets,
            progress=job.progress,
            stopping=job.stopping,
        )
        result: PipelineResult | Totals
        if interval is None:
            result = run_pipeline(request.pipeline, context, store)
        else:
            tell = partial(_tell_batch, job)
            result = run_stream(request.pipeline, context, store, job.wait, interval=interval, on_batch=tell)
        return {**result.record, "code_version": code_version()}


def _tell_batch(job: Carried, batch: dict[str, Any]) -> None:
    job.progress("stream", f"batch {batch['batch']}: {batch['files']} files, {batch['rows']} rows")


def _parameters(request: JobRequest) -> tuple[int, float | None]:
    """Pieces to compute a table in, and the seconds between a stream's micro-batches (None: one batch, not a stream)."""
    given = dict(request.parameters)
    buckets, trigger = given.pop("buckets", "0"), given.pop("trigger", "batch")
    interval = given.pop("interval_seconds", str(INTERVAL_SECONDS))
    if given or not buckets.isdecimal() or trigger not in ("batch", "streaming") or not _is_positive(interval):
        raise UnknownParameter(
            "the parameters of a job are buckets, a whole number (pieces to compute a table in), trigger, batch or streaming, "
            "and interval_seconds, a number (between a stream's micro-batches)"
        )
    return int(buckets), float(interval) if trigger == "streaming" else None


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def main() -> None:
    """Entry point of the ``c360-job`` command: what a wheel's task runs on a cluster."""
    sys.exit(serve_job(sys.argv[1:], carry_out))


if __name__ == "__main__":
    main()
