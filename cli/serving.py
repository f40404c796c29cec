"""``c360 serve``: the API in this process."""

from __future__ import annotations

from cli.installation import Installation


def serve(installation: Installation, host: str | None, port: int | None, hint: str | None = None) -> None:
    raise SystemExit("not here yet")


def example_customer(installation: Installation) -> str:
    return ""
