"""The one error of the language."""

from __future__ import annotations

from kit.errors import Invalid


class UnsupportedSql(Invalid):
    """A construct outside the language; the message names it and says what to write instead."""

    code = "sql.unsupported"
