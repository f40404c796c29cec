"""Fixtures that tests of all rooms share, one plugin file per subject."""

import pytest
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


@pytest.hookimpl(tryfirst=True)  # before the groups are made
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what their module has built run on one worker: the others would build it again."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None:
            known = item._fixtureinfo.name2fixturedefs
            if any(known[name][-1].scope == "module" for name in item.fixturenames if name in known):
                item.add_marker(pytest.mark.xdist_group(item.module.__name__))
