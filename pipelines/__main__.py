"""``python -m pipelines run NAME …``: one job of a run, wherever a runner has started it (pipelines.job)."""

from __future__ import annotations

import sys
from typing import Any

from kit.db import Database
from kit.errors import Invalid
from kit.logging import configure, correlate
from kit.settings import Settings
from pipelines.compose import flow_context, open_engine, open_store
from pipelines.job import Carried, JobRequest, serve_job
from pipelines.runner import check_pipeline, run_pipeline


class UnknownParameter(Invalid):
    """The job has no parameter of that name, or not with that value; the message lists those there are."""

    code = "pipeline.unknown_parameter"


def carry_out(request: JobRequest, job: Carried) -> dict[str, Any]:
    """Run the pipeline on the installation's own settings; returns the record."""
    check_pipeline(request.pipeline)
    buckets = _buckets(request)
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
        return run_pipeline(request.pipeline, context, store).record


def _buckets(request: JobRequest) -> int:
    value = request.parameters.get("buckets", "0")
    if request.parameters.keys() - {"buckets"} or not value.isdecimal():
        raise UnknownParameter("the one parameter of a job is buckets, a whole number: pieces to compute a table in")
    return int(value)


if __name__ == "__main__":
    sys.exit(serve_job(sys.argv[1:], carry_out))
