"""What must never be committed: secrets, addresses of registries, paths of one machine.

The patterns are put together from pieces, so that these files do not match themselves.
"""

from __future__ import annotations

import re

import pytest

from tests.fixtures.parts import PROJECT

_HOSTS = (
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("maven", ".org"),
    ("maven.apache", ".org"),
    ("registry.npmjs", ".org"),
    ("anaconda", ".org"),
    ("deb.debian", ".org"),
    ("docker", ".io"),
    ("ghcr", ".io"),
)
REGISTRY = re.compile(
    "|".join(re.escape("".join(host)) for host in _HOSTS) + "|--(?:extra-)?index" + "-url |--find" + "-links "
)
MACHINE = re.compile(
    r"(?<![\w.}~-])/(?:" + "wo" + r"rk|ro" + r"ot|ho" + r"me/\w+|Us" + r"ers/\w+|tm" + r"p/v|op" + r"t/wheels)/"
)
SECRET = re.compile(
    "|".join(
        (
            "-----BEGIN" + r" [A-Z ]*PRIVATE KEY-----",
            r"\bAK" + r"IA[0-9A-Z]{16}\b",
            r"\bgh" + r"[pousr]_[A-Za-z0-9]{36}\b",
            r"\bgithub" + r"_pat_\w{22,}",
            r"\bxox" + r"[abprs]-[\w-]{10,}",
            r"\bdapi" + r"[0-9a-f]{32}\b",
            r"\bc360" + r"_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{40,}",
            r"\w+://[^\s/:@{}<>\"']+:" + r"[^\s/@{}<>\"']+@",
        )
    )
)
EXAMPLES = {
    REGISTRY: ("https://files.python" + "hosted.org/simple", "pip install --index" + "-url x"),
    MACHINE: ("cd /wo" + "rk/main", "'/ho" + "me/ada/lake'", "/tm" + "p/v/bin/python"),
    SECRET: (
        "-----BEGIN" + " RSA PRIVATE KEY-----",
        "AK" + "IA" + "A" * 16,
        "gh" + "p_" + "a1" * 18,
        "c360" + "_abcdefgh_" + "A" * 43,
        "postgresql://ada:" + "lovelace@db/c360",
    ),
}
HARMLESS = (
    "tests/work/x",
    "$HOME/work/",
    "/customers/{id}",
    "postgresql+psycopg://c360@/postgres",
    "http://127.0.0.1:8000",
    "~/root/",
)


@pytest.mark.parametrize("pattern", EXAMPLES, ids=["registry", "machine", "secret"])
class TestNothingOfThisIsCommitted:
    def test_in_any_file(self, pattern: re.Pattern[str], repository_files: dict[str, str]) -> None:
        found = {
            name: number
            for name, text in repository_files.items()
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        }
        assert found == {}, "the numbers are lines"

    def test_and_the_pattern_knows_it(self, pattern: re.Pattern[str]) -> None:
        assert [example for example in EXAMPLES[pattern] if not pattern.search(example)] == []
        assert [text for text in HARMLESS if pattern.search(text)] == []


def test_what_an_installation_keeps_is_ignored_by_git() -> None:
    ignored = (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {".c360/", ".venv/", ".jars/"} <= set(ignored)
