"""Size and names of files: small rooms with names that say what is in them."""

from __future__ import annotations

from pathlib import PurePosixPath

MOST_LINES = 400
GENERATED = {
    "requirements.lock",
    "requirements-postgres.lock",
    "requirements-dev.lock",
    "requirements-build.lock",
    "docs/openapi.json",
}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
ROOMS = ("kit", "lakehouse", "governance", "pipelines", "workers", "api", "cli")


def test_no_file_is_longer_than_400_lines(repository_files: dict[str, str]) -> None:
    lengths = {name: len(text.splitlines()) for name, text in repository_files.items() if name not in GENERATED}
    assert len(lengths) > 100, "the listing is not the whole repository"
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_name_says_nothing(repository_files: dict[str, str]) -> None:
    """``utils`` and its like collect what has no place; name the thing instead."""
    words = {name: set(PurePosixPath(name).with_suffix("").parts) for name in repository_files if name.endswith(".py")}
    pieces = {name: {piece for word in parts for piece in word.split("_")} for name, parts in words.items()}
    assert [name for name, found in pieces.items() if found & EMPTY_NAMES] == []


def test_the_folder_of_migrations_is_no_package(repository_files: dict[str, str]) -> None:
    """With an ``__init__.py`` it would hide the library of the same name."""
    assert "alembic/env.py" in repository_files
    assert [name for name in repository_files if name.startswith("alembic/") and name.endswith("__init__.py")] == []


def test_every_folder_of_a_room_is_a_package(repository_files: dict[str, str]) -> None:
    """Without ``__init__.py`` mypy, import-linter and the wheel would pass over it."""
    modules = [PurePosixPath(name) for name in repository_files if name.endswith(".py")]
    folders = {module.parent for module in modules if module.parts[0] in ROOMS}
    assert {folder.parts[0] for folder in folders} == set(ROOMS)
    assert [str(folder) for folder in folders if f"{folder}/__init__.py" not in repository_files] == []
