"""The documents that people start from say what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.parts import PROJECT

ROOMS = ("kit", "lakehouse", "governance", "pipelines", "workers", "api", "cli")
DECISIONS = PROJECT / "docs" / "decisions"


def read(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def test_the_readme_begins_with_the_two_commands() -> None:
    block = re.search(r"```\w*\n(.*?)```", read("README.md"), re.DOTALL)
    assert block is not None
    assert [line.split("#")[0].strip() for line in block[1].strip().splitlines()] == ["make run", "make test"]


def test_every_verb_of_the_makefile_is_explained() -> None:
    makefile = read("Makefile")
    verbs = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.* ## \S", makefile, re.MULTILINE))
    assert {"setup", "run", "test", "test-long", "check", "bench"} <= verbs
    assert verbs == explained
    listed = subprocess.run(["make"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE)) == verbs


class TestArchitecture:
    def test_it_is_short(self) -> None:
        assert len(read("ARCHITECTURE.md").splitlines()) < 200

    @pytest.mark.parametrize("room", ROOMS)
    def test_it_names_every_room_and_every_folder_in_it(self, room: str) -> None:
        folders = [path.parent.relative_to(PROJECT).as_posix() for path in (PROJECT / room).rglob("__init__.py")]
        assert [folder for folder in folders if f"`{folder}/`" not in read("ARCHITECTURE.md")] == []

    def test_no_other_folder_at_the_top_is_left_out(self, repository_files: dict[str, str]) -> None:
        top = {name.partition("/")[0] for name in repository_files if "/" in name and not name.startswith(".")}
        assert [folder for folder in top if f"`{folder}/`" not in read("ARCHITECTURE.md")] == []


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_file_that_a_document_names_is_there(document: str) -> None:
    """A name in backticks that has a folder in it and an ending, or a link, is a file of this repository."""
    text = re.sub(r"```.*?```", "", read(document), flags=re.DOTALL)
    named = re.findall(r"`([\w.-]+/[\w./-]+\.(?:py|sql|md|toml|ini|sha256|json))`", text)
    named += re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [name for name in named if not (PROJECT / name).exists()] == []


class TestDecisions:
    def records(self) -> list[Path]:
        return sorted(path for path in DECISIONS.glob("[0-9]*.md") if path.stem != "0000-template")

    def test_numbers_are_given_once_and_without_a_gap(self) -> None:
        assert [int(path.name[:4]) for path in self.records()] == list(range(1, len(self.records()) + 1))

    def test_the_index_lists_every_record_by_its_title(self) -> None:
        index = (DECISIONS / "README.md").read_text(encoding="utf-8")
        for path in self.records():
            title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").partition(": ")[2]
            assert title, f"{path.name} begins with '# NNNN: title'"
            assert f"[{path.name[:4]}]({path.name}) | {title} |" in index

    def test_every_record_has_a_status_and_fits_a_page(self) -> None:
        for path in self.records():
            text = path.read_text(encoding="utf-8")
            assert re.search(r"^Status: (accepted|superseded by \d{4})", text, re.MULTILINE), path.name
            assert len(text.splitlines()) <= 90, path.name
