from governance.audit.reading import COLUMNS
from lakehouse.dataset import Column, Dataset, Exported, NoSubject

_COMMENTS = {
    "account_id": "Databricks account; NULL here.",
    "workspace_id": "Databricks workspace; NULL here.",
    "version": "Version of the form in which events are kept.",
    "event_time": "When it happened.",
    "event_date": "Day of it, in UTC.",
    "source_ip_address": "NULL: a keyed hash of it is in request_params, where it tells anything.",
    "user_agent": "NULL: it is not kept.",
    "session_id": "NULL: there are no sessions.",
    "user_identity": "Who did it: id of the principal. Mail addresses are not kept.",
    "service_name": "Part of the service it was done in.",
    "action_name": "What was done: the operation of the API, or the command.",
    "request_id": "Request it was done by.",
    "request_params": "What it was done to; customer_hash is a keyed hash of the customer id.",
    "response": "HTTP status and error code it was answered with.",
    "audit_level": "ACCOUNT_LEVEL always.",
    "event_id": "Writer of the event and its number there.",
    "identity_metadata": "NULL: nobody acts for another.",
}

dataset = Dataset(
    name="system.access.audit",
    comment="The audit trail, as Databricks' table of that name: appended by anchored parts, never changed.",
    columns=tuple(
        Column(name, kind, _COMMENTS[name], "pii.device" if name == "source_ip_address" else "public")
        for name, kind in COLUMNS.items()
    ),
    flow=Exported("audit"),
    subject=NoSubject("Customers stand in it as keyed hashes only; the key is in no table."),
    cluster_by=("event_time",),
    retention_days=731,
)
