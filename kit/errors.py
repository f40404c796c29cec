"""One error family. An error carries a *kind* (what a caller can do about it) and a stable *code*.

    C360Error
    ├── Invalid       the caller's input or a declaration is wrong; the message says what to write instead
    ├── NotFound      the thing named does not exist
    ├── Denied        the caller may not
    ├── Conflict      the state does not allow it now
    ├── Unavailable   a part that is needed does not answer; trying again may help
    └── Fault         our own defect or damaged data: a person has to look

Messages are shown to users: they never hold values of personal data. Classes are named after what is wrong, declared beside
the code that raises them, and set ``code``. Nothing below the HTTP edge knows of status codes.
"""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb
from typing import ClassVar


class C360Error(Exception):
    """Base of every error this project raises on purpose."""

    kind: ClassVar[str] = "fault"
    code: ClassVar[str] = "fault"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(C360Error):
    kind = "invalid"
    code = "invalid"


class NotFound(C360Error):
    kind = "not_found"
    code = "not_found"


class Denied(C360Error):
    kind = "denied"
    code = "denied"


class Conflict(C360Error):
    kind = "conflict"
    code = "conflict"


class Unavailable(C360Error):
    kind = "unavailable"
    code = "unavailable"


class Fault(C360Error):
    kind = "fault"
    code = "fault"


def what_failed(failure: Exception) -> dict[str, str]:
    """``code``, ``kind`` and ``message`` of any exception, fit to be shown and stored.

    What is not an error of this project is a defect: its type and place are told, its text never, since that may hold values.
    """
    if isinstance(failure, C360Error):
        return {"code": failure.code, "kind": failure.kind, "message": failure.message}
    frames = extract_tb(failure.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    message = f"unexpected {type(failure).__name__}{place}; this is a defect"
    return {"code": Fault.code, "kind": Fault.kind, "message": message}
