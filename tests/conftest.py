"""Fixtures that tests of all rooms share, one plugin file per subject."""

pytest_plugins = [
    "tests.fixtures.spark",
    "tests.fixtures.engines",
    "tests.fixtures.landing",
    "tests.fixtures.online_retail",
    "tests.fixtures.database",
    "tests.fixtures.runs",
    "tests.fixtures.serving",
    "tests.fixtures.command",
    "tests.fixtures.repository",
]
