"""A file that cannot be read as a whole."""

from __future__ import annotations

from kit.errors import Invalid


class Unreadable(Invalid):
    """No row can be had from the file. The message completes "the file is left out: …" and holds none of its
    content.
    """

    code = "files.unreadable"
