from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from governance.access import Scope
from governance.api_keys import (
    PREFIX_LENGTH,
    ApiKeys,
    ExpiredKey,
    InvalidKeyName,
    IssuedKey,
    KeyNotFound,
    KeysUnavailable,
    MalformedKey,
    Unauthenticated,
    UnknownKey,
    create_key,
    list_keys,
    revoke_key,
)
from kit import clock
from kit.db import Database
from workers.migrate import upgrade


def issue(database: Database, *scopes: Scope, **options: object) -> IssuedKey:
    with database.transaction() as session:
        return create_key(session, name="test", scopes=scopes or (Scope.PROFILES_READ,), **options)


@pytest.fixture
def keys(database: Database) -> ApiKeys:
    """Keys that are read only when a test says so."""
    return ApiKeys(database)


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiKeys, str]]:
    """One key, read once: for many checks on the same state."""
    opened = Database(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'control.db'}")
    upgrade(opened)
    issued = issue(opened)
    keys = ApiKeys(opened, max_age_seconds=1e9)
    keys.refresh()
    yield keys, issued.secret
    opened.close()


class TestIssue:
    def test_a_key_proves_who_calls_and_what_they_may(self, database: Database, keys: ApiKeys) -> None:
        reader, officer = issue(database), issue(database, *Scope)
        keys.refresh()
        assert keys.verify(reader.secret).key_id == reader.id
        assert keys.verify(reader.secret).scopes == {Scope.PROFILES_READ}
        assert keys.verify(officer.secret).scopes == set(Scope)

    def test_the_secret_is_stored_nowhere_and_never_shown_by_repr(self, database: Database) -> None:
        issued = issue(database)
        with database.transaction() as session:
            stored = str(session.execute(text("SELECT * FROM api_key")).all())
        secret_part = issued.secret.rsplit("_", 1)[1]
        assert issued.prefix in stored
        assert secret_part not in stored
        assert secret_part not in repr(issued)

    def test_the_prefix_stands_in_the_key_and_has_its_length(self, database: Database) -> None:
        issued = issue(database)
        assert issued.secret.startswith(f"c360_{issued.prefix}_")
        assert len(issued.prefix) == PREFIX_LENGTH

    @pytest.mark.parametrize("name", ["", "  ", "x" * 201])
    def test_a_key_without_a_fitting_name_is_refused(self, database: Database, name: str) -> None:
        with database.transaction() as session, pytest.raises(InvalidKeyName):
            create_key(session, name=name, scopes=[Scope.PROFILES_READ])

    def test_a_key_rolled_back_was_never_issued(self, database: Database, keys: ApiKeys) -> None:
        with database.transaction() as session:
            secret = create_key(session, name="test", scopes=[Scope.PROFILES_READ]).secret
            session.rollback()
        keys.refresh()
        with pytest.raises(UnknownKey):
            keys.verify(secret)


class TestEnd:
    @pytest.mark.parametrize("handle", ["id", "prefix"])
    def test_a_revoked_key_is_unknown_and_stays_listed_with_its_first_date(
        self, database: Database, keys: ApiKeys, handle: str
    ) -> None:
        issued, other = issue(database), issue(database)
        for _ in range(2):
            with database.transaction() as session:
                revoked_at = revoke_key(session, getattr(issued, handle)).revoked_at
        keys.refresh()
        with pytest.raises(UnknownKey):
            keys.verify(issued.secret)
        assert keys.verify(other.secret)
        with database.transaction() as session:
            assert [(key.id, key.revoked_at is None) for key in list_keys(session)] == [
                (issued.id, False),
                (other.id, True),
            ]
            assert list_keys(session)[0].revoked_at == revoked_at

    def test_revoking_what_is_not_there_says_so(self, database: Database) -> None:
        with database.transaction() as session, pytest.raises(KeyNotFound):
            revoke_key(session, "key_nothing")

    def test_a_key_ends_at_its_instant(self, database: Database, keys: ApiKeys) -> None:
        past = issue(database, expires_at=clock.now() - timedelta(seconds=1))
        future = issue(database, expires_at=clock.now() + timedelta(hours=1))
        keys.refresh()
        assert keys.verify(future.secret)
        with pytest.raises(ExpiredKey):
            keys.verify(past.secret)

    def test_a_key_whose_scopes_a_newer_release_granted_keeps_those_known_here(
        self, database: Database, keys: ApiKeys
    ) -> None:
        issued = issue(database)
        with database.transaction() as session:
            session.execute(text("UPDATE api_key SET scopes = 'profiles:read shares:manage'"))
        keys.refresh()
        assert keys.verify(issued.secret).scopes == {Scope.PROFILES_READ}


class TestRefuse:
    @given(position=st.integers(0, 72), letter=st.sampled_from("abcz27_A é\x00"))
    def test_a_changed_letter_anywhere_lets_nobody_in(
        self, lonely: tuple[ApiKeys, str], position: int, letter: str
    ) -> None:
        keys, secret = lonely
        mistyped = secret[:position] + letter + secret[position + 1 :]
        if mistyped != secret:
            with pytest.raises(MalformedKey):
                keys.verify(mistyped)

    @given(sent=st.text(max_size=100))
    def test_no_text_is_a_key_by_chance_and_none_is_repeated(self, lonely: tuple[ApiKeys, str], sent: str) -> None:
        with pytest.raises(Unauthenticated) as refused:
            lonely[0].verify(sent)
        assert len(sent) < 5 or sent not in refused.value.message

    def test_a_well_formed_key_of_another_installation_is_unknown(
        self, tmp_path: Path, lonely: tuple[ApiKeys, str]
    ) -> None:
        elsewhere = Database(f"sqlite:///{tmp_path / 'control.db'}")
        upgrade(elsewhere)
        secret = issue(elsewhere).secret
        elsewhere.close()
        with pytest.raises(UnknownKey):
            lonely[0].verify(secret)

    def test_the_right_prefix_with_another_secret_is_refused(self, database: Database, keys: ApiKeys) -> None:
        first, second = issue(database), issue(database)
        keys.refresh()
        with pytest.raises(Unauthenticated):
            keys.verify(first.secret.replace(first.prefix, second.prefix))


class TestFreshness:
    def test_revocation_and_issue_reach_a_running_process_without_a_call(self, database: Database) -> None:
        issued = issue(database)
        with ApiKeys(database, refresh_seconds=0.05) as keys:
            assert keys.verify(issued.secret)
            with database.transaction() as session:
                revoke_key(session, issued.id)
            later = issue(database)
            _until(lambda: _is_let_in(keys, later.secret) and not _is_let_in(keys, issued.secret))

    def test_before_the_first_reading_nobody_is_let_in(self, database: Database, keys: ApiKeys) -> None:
        issued = issue(database)
        assert not keys.is_fresh
        with pytest.raises(KeysUnavailable):
            keys.verify(issued.secret)

    def test_keys_that_cannot_be_read_any_more_let_nobody_in_and_recover(self, tmp_path: Path) -> None:
        database = Database(f"sqlite:///{tmp_path / 'control.db'}")
        upgrade(database)
        issued = issue(database)
        with ApiKeys(database, refresh_seconds=0.05, max_age_seconds=0.4) as keys:
            assert keys.verify(issued.secret)
            with database.transaction() as session:
                session.execute(text("ALTER TABLE api_key RENAME TO elsewhere"))
            _until(lambda: not keys.is_fresh)
            with pytest.raises(KeysUnavailable):
                keys.verify(issued.secret)
            with database.transaction() as session:
                session.execute(text("ALTER TABLE elsewhere RENAME TO api_key"))
            _until(lambda: _is_let_in(keys, issued.secret))
        database.close()

    def test_a_long_writer_does_not_make_the_keys_old(self, database: Database, keys: ApiKeys) -> None:
        issued = issue(database)
        with database.transaction() as writer:
            create_key(writer, name="not committed", scopes=[Scope.PROFILES_READ])
            keys.refresh()  # on SQLite this would wait for the writer if it asked for more than to read
        assert keys.verify(issued.secret)


def _is_let_in(keys: ApiKeys, secret: str) -> bool:
    try:
        keys.verify(secret)
    except (Unauthenticated, KeysUnavailable):
        return False
    return True


def _until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
