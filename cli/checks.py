"""``c360 check``: looks at an installation and says what is wrong and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit.errors import C360Error
from lakehouse.checkpoints import Checkpoints
from lakehouse.dataset import Recorded
from lakehouse.online.lmdb_store import LmdbStore
from workers.migrate import is_at_head

if TYPE_CHECKING:
    from cli.installation import Installation


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str
    ok: bool
    detail: str


def examine(installation: Installation) -> list[Finding]:
    """All findings, good ones included. Changes nothing."""
    if not installation.settings.home.is_dir():
        return [Finding("home", ok=False, detail=f"{installation.settings.home} does not exist; run c360 init")]
    findings = [
        Finding("home", ok=True, detail=str(installation.settings.home)),
        _declarations(installation),
        _database(installation),
    ]
    if all(finding.ok for finding in findings):
        findings += _tables(installation) + [_files(installation), _online(installation)]
    return findings


def _declarations(installation: Installation) -> Finding:
    try:
        count = len(list(installation.catalog))
    except C360Error as error:
        return Finding("declarations", ok=False, detail=error.message)
    return Finding("declarations", ok=True, detail=f"{count} datasets")


def _database(installation: Installation) -> Finding:
    if is_at_head(installation.unmigrated_database):
        return Finding("control database", ok=True, detail="schema is current")
    return Finding("control database", ok=False, detail="schema is not current; run c360 init")


def _tables(installation: Installation) -> list[Finding]:
    findings = []
    checkpoints = Checkpoints(installation.database)
    with installation.engine() as engine:
        for dataset in installation.catalog:
            if isinstance(dataset.flow, Recorded):
                continue
            try:
                version = engine.version(dataset.name)
            except Exception as failure:  # noqa: BLE001 - whatever keeps a table from being opened is the finding
                findings.append(Finding(dataset.name, ok=False, detail=f"cannot be opened ({type(failure).__name__})"))
                continue
            last = checkpoints.last(dataset.name)
            if version is None:
                missing = last is not None and last.target_version is not None and last.target_version >= 0
                detail = "has vanished; the next run builds it anew" if missing else "not built yet"
                findings.append(Finding(dataset.name, ok=not missing, detail=detail))
            elif (left := checkpoints.planned(dataset.name)) is not None:
                findings.append(
                    Finding(
                        dataset.name,
                        ok=True,
                        detail=f"version {version}; batch {left.batch} is unfinished and goes on with the next run",
                    )
                )
            else:
                findings.append(Finding(dataset.name, ok=True, detail=f"version {version}"))
    return findings


def _files(installation: Installation) -> Finding:
    unreadable = Checkpoints(installation.database).unreadable()
    if not unreadable:
        return Finding("landing files", ok=True, detail="all readable")
    listed = "; ".join(f"{path}: {reason}" for path, reason in unreadable[:5])
    return Finding(
        "landing files", ok=True, detail=f"{len(unreadable)} unreadable, tried again when they change ({listed})"
    )


def _online(installation: Installation) -> Finding:
    served = [dataset for dataset in installation.catalog if dataset.serving is not None]
    settings = installation.settings
    with installation.engine() as engine, LmdbStore(settings.online, settings.online_map_mb, readonly=True) as store:
        for dataset in served:
            assert dataset.serving is not None  # noqa: S101 - filtered above
            header = store.header(dataset.serving.path)
            version = engine.version(dataset.name)
            if version is not None and (header is None or header.version != version):
                return Finding(
                    "online store",
                    ok=False,
                    detail=f"{dataset.name} is at version {version}, the store is not; run the pipeline",
                )
    return Finding("online store", ok=True, detail="current")
