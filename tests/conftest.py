"""Fixtures that tests of all rooms share, one plugin file per subject."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # no test asserts on time, by the way of a library either
settings.load_profile("untimed")

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
