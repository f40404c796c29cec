from governance.timeline import COLUMNS
from lakehouse.dataset import Column, Dataset, Exported, NoSubject

_COMMENTS = {
    "account_id": "Databricks account; NULL here.",
    "workspace_id": "Databricks workspace; NULL here.",
    "job_id": "Pipeline that was run.",
    "run_id": "Run; it has a row per hour of the clock that it lies in.",
    "period_start_time": "When the run began, or its hour; for one that never began, when it ended.",
    "period_end_time": "When the run ended, or its hour.",
    "trigger_type": "CRON (a schedule), CONTINUOUS (kept alive by one), ONETIME_RETRY, or ONETIME: somebody asked for it.",
    "result_state": "SUCCEEDED, FAILED or CANCELLED, in the last row of the run; NULL in those before.",
    "run_type": "JOB_RUN always.",
    "run_name": "Pipeline that was run.",
    "compute_ids": "NULL: the run knows where it ran.",
    "termination_code": "SUCCESS, CANCELLED, or the code of the error, in the last row.",
    "job_parameters": "Parameters of the job; names and numbers, nothing personal.",
    "source_task_run_id": "NULL: runs have no tasks.",
    "root_task_run_id": "NULL: runs have no tasks.",
    "compute": "NULL, as compute_ids.",
    "termination_type": "SUCCESS, CLIENT_ERROR, CLOUD_FAILURE (a part did not answer) or INTERNAL_ERROR (a defect); NULL where it was cancelled.",
    "setup_duration_seconds": "NULL: it is not measured apart.",
    "queue_duration_seconds": "From being asked for to being begun first, in the last row.",
    "run_duration_seconds": "From being asked for to the end, in the last row.",
    "cleanup_duration_seconds": "NULL: it is not measured apart.",
    "execution_duration_seconds": "From being begun first to the end, in the last row.",
}

dataset = Dataset(
    name="system.lakeflow.job_run_timeline",
    comment="Runs that have ended, hour by hour, as Databricks' table of that name.",
    columns=tuple(Column(name, kind, _COMMENTS[name]) for name, kind in COLUMNS.items()),
    flow=Exported("job_run_timeline"),
    subject=NoSubject("Names of pipelines and codes; no person."),
    cluster_by=("period_start_time",),
    retention_days=365,
)
