"""What every engine promises of several writers: one that lost its lease writes nothing, one that came second recomputes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakehouse.engine import Commit, CommitConflict, Committed, Engine, Session, StaleFence
from tests.fixtures.engines import AS_OF, CUSTOMERS, Lease, commit, customer_sql

TABLE = CUSTOMERS.name
Write = Callable[[Session, Commit], Committed]


def zombie_appends(session: Session, mine: Commit) -> Committed:
    """Append a row that must never be seen."""
    return session.append(CUSTOMERS, customer_sql("zombie", 1), mine)


def zombie_merges(session: Session, mine: Commit) -> Committed:
    """Insert and update by a merge, neither of which must ever be seen."""
    rows = f"{customer_sql('zombie', 1)} UNION ALL {customer_sql('c1', 99)}"
    return session.merge(CUSTOMERS, f"SELECT *, 'upsert' AS _change FROM ({rows})", mine)


def zombie_replaces(session: Session, mine: Commit) -> Committed:
    """Put a row that must never be seen in place of all."""
    return session.replace(CUSTOMERS, customer_sql("zombie", 1), mine)


WRITES: tuple[Write, ...] = (zombie_appends, zombie_merges, zombie_replaces)


def orders(engine: Engine) -> dict[str, int]:
    """Orders by customer in the newest version."""
    version = engine.version(TABLE)
    assert version is not None
    with engine.session(AS_OF) as session:
        session.bind("everything", TABLE, version)
        rows = session.fetch("SELECT customer_id, orders FROM everything").to_pylist()
    return {row["customer_id"]: row["orders"] for row in rows}


def begin(session: Session) -> None:
    """A table with one customer, written under token 1."""
    session.append(CUSTOMERS, customer_sql("c1", 1), commit(1))


def at_the_last_check(session: Session, write: Write, token: int, meanwhile: Callable[[], object]) -> None:
    """Write with ``meanwhile`` happening at the last check before the commit, when the transaction is open for certain."""
    rehearsal = Lease(token)  # for a repeat, which passes every check and writes nothing
    assert not write(session, commit(1, fence=rehearsal)).written
    last = rehearsal.checks
    write(session, commit(9, fence=Lease(token, before_check=lambda check: meanwhile() if check == last else None)))


def test_a_writer_whose_lease_is_lost_writes_nothing(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        begin(session)
        for write in WRITES:
            with pytest.raises(StaleFence):
                write(session, commit(2, fence=Lease(lost=True)))
    assert orders(engine) == {"c1": 1}


def test_a_writer_with_an_older_token_than_the_table_writes_nothing(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        begin(session)
        session.append(CUSTOMERS, customer_sql("c2", 2), commit(1, flow="newer", fence=Lease(5)))
        for write in WRITES:
            with pytest.raises(StaleFence):
                write(session, commit(2, fence=Lease(4)))
        assert session.append(CUSTOMERS, customer_sql("c3", 3), commit(2, fence=Lease(5))).written
    assert orders(engine) == {"c1": 1, "c2": 2, "c3": 3}


def test_a_claim_shuts_out_older_tokens_and_is_repeatable(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        begin(session)
        engine.claim(TABLE, Lease(3))
        version = engine.version(TABLE)
        engine.claim(TABLE, Lease(3))
        engine.claim(TABLE, Lease(2))
        assert engine.version(TABLE) == version
        with pytest.raises(StaleFence):
            engine.maintain(CUSTOMERS, Lease(2))
        with pytest.raises(StaleFence):
            session.append(CUSTOMERS, customer_sql("zombie", 1), commit(2, fence=Lease(2)))
        assert session.append(CUSTOMERS, customer_sql("c2", 2), commit(2, fence=Lease(3))).written
    assert orders(engine) == {"c1": 1, "c2": 2}


def test_claiming_a_table_that_does_not_exist_is_no_error(engine: Engine) -> None:
    engine.claim(TABLE, Lease(3))
    assert engine.version(TABLE) is None


def test_a_transaction_open_during_a_claim_fails(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        begin(session)
        for token, write in enumerate(WRITES, 1):

            def takeover(newer: int = token + 1) -> None:
                engine.claim(TABLE, Lease(newer))

            with pytest.raises(CommitConflict):
                at_the_last_check(session, write, token, takeover)
            with pytest.raises(StaleFence):
                write(session, commit(9, fence=Lease(token)))
    assert orders(engine) == {"c1": 1}


def test_a_commit_that_came_first_makes_the_second_a_conflict(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        begin(session)
        for batch, write in enumerate(WRITES, 1):

            def other(batch: int = batch) -> None:
                with engine.session(AS_OF) as another:
                    another.append(CUSTOMERS, customer_sql(f"other{batch}", batch), commit(batch, flow="other"))

            with pytest.raises(CommitConflict):
                at_the_last_check(session, write, 1, other)
        assert orders(engine) == {"c1": 1, "other1": 1, "other2": 2, "other3": 3}
        assert session.append(CUSTOMERS, customer_sql("c2", 2), commit(9)).written, "computed again, it goes through"
