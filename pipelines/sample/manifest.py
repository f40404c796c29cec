"""What has been landed of a sample, in a hidden file of the landing zone: landing can be repeated and continued."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path

FILE_NAME = ".sample.json"


@dataclass(slots=True)
class Manifest:
    """The parameters of a world, up to which day its files lie complete, and what they hold.

    ``landing_until`` differs from ``landed_until`` while files are being written: a landing that was killed is finished
    with the very files it had begun before anything else is landed.
    """

    customers: int
    seed: int
    first_until: date
    landing_until: date
    landed_until: date | None = None
    files: list[str] = field(default_factory=list)
    records: Counter[str] = field(default_factory=Counter)
    injected: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, landing: Path) -> Manifest | None:
        """The manifest of a landing zone; None if no sample was landed there."""
        path = landing / FILE_NAME
        if not path.exists():
            return None
        stored = json.loads(path.read_text(encoding="utf-8"))
        for name in ("first_until", "landing_until", "landed_until"):
            stored[name] = stored[name] and date.fromisoformat(stored[name])
        stored["records"] = Counter(stored["records"])
        stored["injected"] = {source: Counter(counts) for source, counts in stored["injected"].items()}
        return cls(**stored)

    def write(self, landing: Path) -> None:
        text = json.dumps(
            {part.name: getattr(self, part.name) for part in fields(self)},
            default=date.isoformat,
            indent=1,
            sort_keys=True,
        )
        unfinished = landing / f"{FILE_NAME}.part"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(landing / FILE_NAME)
