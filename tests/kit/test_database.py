from __future__ import annotations

import pytest
from sqlalchemy import text

from kit.db import Database


@pytest.mark.parametrize("empty_database_url", ["postgresql"], indirect=True)
def test_who_may_hold_locks_is_given_less_time_to_idle(empty_database_url: str) -> None:
    """A client that is stopped amid a write keeps its locks until the server ends its session: only then can others take over."""
    database = Database(empty_database_url)
    asked = text("SELECT current_setting('idle_in_transaction_session_timeout')")
    with database.transaction() as session:
        assert session.execute(asked).scalar_one() == "10s"
    with database.reading() as session:
        assert session.execute(asked).scalar_one() == "1min"
    with database.transaction() as session:
        assert session.execute(asked).scalar_one() == "10s"
    database.close()
