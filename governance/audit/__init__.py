"""The audit trail: who did what to whose data, and when; nothing personal in it, and no gap that could not be found.

    event.py      what is recorded
    models.py     how it is kept: writers, events, anchors
    chain.py      the canonical form of a row, and how rows hold each other
    trail.py      record: never blocks, never drops
    changes.py    changes of the control database, each in one transaction with its event
    store.py      batches and anchors in the control database
    verify.py     is every row as it was written?
    reading.py    lists, and the export to system.access.audit

Each writer (one per process, one more for its changes) makes a hash chain under a key of its own. Anchors bind the heads of all chains together.
docs/decisions has the page on what this finds and what it cannot find.
"""

from governance.audit.changes import RecordedChanges
from governance.audit.event import Event
from governance.audit.trail import AuditTrail, AuditUnavailable

__all__ = ["AuditTrail", "AuditUnavailable", "Event", "RecordedChanges"]
