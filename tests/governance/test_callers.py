"""Who may call now, in memory: what is let in, what is refused, and how soon a change is seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text

from governance.access import Scope, Unauthenticated, UnknownScope
from governance.api_keys import IssuedKey, create_key, get_key, issue_key, revoke_key, rotate_key
from governance.callers import Callers, ExpiredKey, KeysUnavailable, MalformedKey, UnknownKey
from governance.changes import changing
from governance.groups import add_member, create_group, nest, remove_member, set_group_scopes, unnest
from governance.models import ApiKey, Principal
from governance.principals import disable_principal, enable_principal
from governance.tokens import ExpiredToken, InvalidToken, Tokens
from kit import clock
from kit.db import Database
from kit.key_document import generate
from kit.keyring import KeyRing, Purpose
from workers.migrate import upgrade

TOKENS = Tokens(KeyRing.choose(Path("nowhere"), document=generate()), "https://c360.example")


def issue(database: Database, *scopes: Scope, **options: object) -> IssuedKey:
    with database.transaction() as session:
        return create_key(session, name="test", scopes=scopes or (Scope.PROFILES_READ,), **options)


@pytest.fixture
def callers(database: Database) -> Callers:
    """Callers that are read only when a test says so."""
    return Callers(database, TOKENS)


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Callers, str]]:
    """One key, read once: for many checks on the same state."""
    opened = Database(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'control.db'}")
    upgrade(opened)
    issued = issue(opened)
    callers = Callers(opened, TOKENS, max_age_seconds=1e9)
    callers.refresh()
    yield callers, issued.secret
    opened.close()


class TestKeys:
    def test_a_key_proves_who_calls_and_what_they_may(self, database: Database, callers: Callers) -> None:
        reader, officer = issue(database), issue(database, *Scope)
        callers.refresh()
        caller = callers.verify(reader.secret)
        assert (caller.key_id, caller.principal_id, caller.token_id) == (reader.id, reader.principal_id, None)
        assert caller.scopes == {Scope.PROFILES_READ}
        assert callers.verify(officer.secret).scopes == set(Scope)

    def test_a_key_rolled_back_was_never_issued(self, database: Database, callers: Callers) -> None:
        with database.transaction() as session:
            secret = create_key(session, name="test", scopes=[Scope.PROFILES_READ]).secret
            session.rollback()
        callers.refresh()
        with pytest.raises(UnknownKey):
            callers.verify(secret)

    def test_a_key_ends_at_its_instant(self, database: Database, callers: Callers) -> None:
        past, future = (issue(database, expires_at=clock.now() + timedelta(hours=1)) for _ in range(2))
        with database.transaction() as session, changing(session):
            get_key(session, past.id).expires_at = clock.now() - timedelta(seconds=1)
        callers.refresh()
        assert callers.verify(future.secret)
        with pytest.raises(ExpiredKey):
            callers.verify(past.secret)

    def test_a_rotated_key_works_beside_its_successor_until_the_grace_ends(
        self, database: Database, callers: Callers
    ) -> None:
        old = issue(database)
        with database.transaction() as session:
            new = rotate_key(session, old.id, grace=timedelta(hours=1))
        callers.refresh()
        assert callers.verify(old.secret).principal_id == callers.verify(new.secret).principal_id
        with database.transaction() as session, changing(session):
            get_key(session, old.id).expires_at = clock.now()
        callers.refresh()
        with pytest.raises(ExpiredKey):
            callers.verify(old.secret)
        assert callers.verify(new.secret)

    def test_a_narrowed_key_may_only_what_it_names_and_what_its_principal_still_may(
        self, database: Database, callers: Callers
    ) -> None:
        with database.transaction() as session:
            wide = create_key(session, name="test", groups=["compliance"])
            narrow = issue_key(session, wide.principal_id, scopes=[Scope.PROFILES_READ, Scope.RUNS_READ])
        callers.refresh()
        assert callers.verify(narrow.secret).scopes == {Scope.PROFILES_READ}
        assert callers.verify(wide.secret).scopes == {Scope.PROFILES_READ, Scope.PROFILES_READ_PII, Scope.AUDIT_READ}

    def test_scopes_that_only_a_newer_release_knows_count_for_nothing(
        self, database: Database, callers: Callers
    ) -> None:
        issued = issue(database)
        with database.transaction() as session, changing(session):
            session.get_one(Principal, issued.principal_id).scopes = "profiles:read shares:manage"
        callers.refresh()
        assert callers.verify(issued.secret).scopes == {Scope.PROFILES_READ}


class TestRefuse:
    @given(position=st.integers(0, 72), letter=st.sampled_from("abcz27_A é\x00"))
    def test_a_changed_letter_anywhere_lets_nobody_in(
        self, lonely: tuple[Callers, str], position: int, letter: str
    ) -> None:
        callers, secret = lonely
        mistyped = secret[:position] + letter + secret[position + 1 :]
        if mistyped != secret:
            with pytest.raises((MalformedKey, InvalidToken)):
                callers.verify(mistyped)

    @given(sent=st.text(max_size=100))
    def test_no_text_is_a_key_by_chance_and_none_is_repeated(self, lonely: tuple[Callers, str], sent: str) -> None:
        with pytest.raises(Unauthenticated) as refused:
            lonely[0].verify(sent)
        assert len(sent) < 5 or sent not in refused.value.message

    def test_a_well_formed_key_of_another_installation_is_unknown(
        self, tmp_path: Path, lonely: tuple[Callers, str]
    ) -> None:
        elsewhere = Database(f"sqlite:///{tmp_path / 'control.db'}")
        upgrade(elsewhere)
        secret = issue(elsewhere).secret
        elsewhere.close()
        with pytest.raises(UnknownKey):
            lonely[0].verify(secret)

    def test_the_right_prefix_with_another_secret_is_refused(self, database: Database, callers: Callers) -> None:
        first, second = issue(database), issue(database)
        callers.refresh()
        with pytest.raises(Unauthenticated):
            callers.verify(first.secret.replace(first.prefix, second.prefix))


class TestTokens:
    def test_a_token_carries_what_its_key_may_or_less(self, database: Database, callers: Callers) -> None:
        issued = issue(database, Scope.PROFILES_READ, Scope.RUNS_READ)
        callers.refresh()
        for client_id in (issued.id, issued.principal_id):
            whole = callers.exchange(client_id, issued.secret, None)
            caller = callers.verify(whole.token)
            assert caller.scopes == whole.scopes == {Scope.PROFILES_READ, Scope.RUNS_READ}
            assert (caller.key_id, caller.principal_id) == (issued.id, issued.principal_id)
            assert caller.token_id == whole.token_id
        narrow = callers.exchange(issued.id, issued.secret, "runs:read")
        assert callers.verify(narrow.token).scopes == {Scope.RUNS_READ}

    @pytest.mark.parametrize("wanted", ["runs:write", "runs:read runs:write", "everything", "", " "])
    def test_no_token_carries_more(self, database: Database, callers: Callers, wanted: str) -> None:
        issued = issue(database, Scope.RUNS_READ)
        callers.refresh()
        with pytest.raises(UnknownScope):
            callers.exchange(issued.id, issued.secret, wanted)

    def test_a_client_id_must_be_the_key_s_own(self, database: Database, callers: Callers) -> None:
        issued, other = issue(database), issue(database)
        callers.refresh()
        for client_id in (other.id, other.principal_id, "", issued.prefix):
            with pytest.raises(UnknownKey):
                callers.exchange(client_id, issued.secret, None)

    def test_a_token_gets_no_token(self, database: Database, callers: Callers) -> None:
        issued = issue(database)
        callers.refresh()
        token = callers.exchange(issued.id, issued.secret, None).token
        with pytest.raises(Unauthenticated):
            callers.exchange(issued.id, token, None)

    def test_a_token_does_not_outlive_its_key(self, database: Database, callers: Callers) -> None:
        issued = issue(database, expires_at=clock.now() + timedelta(seconds=90))
        callers.refresh()
        assert callers.exchange(issued.id, issued.secret, None).expires_in <= 90

    def test_a_token_is_looked_at_once_and_remembered(self, database: Database, tmp_path: Path) -> None:
        ring = KeyRing(tmp_path / "keyring.json")
        callers = Callers(database, Tokens(ring, "https://c360.example"))
        issued = issue(database)
        callers.refresh()
        token = callers.exchange(issued.id, issued.secret, None).token
        assert callers.verify(token) is callers.verify(token)
        old = ring.signing_key(Purpose.TOKENS)
        ring.rotate(Purpose.TOKENS)
        assert callers.verify(token), "an older key still verifies"
        ring.retire(old.id)
        with pytest.raises(InvalidToken):
            callers.verify(token)  # remembered or not


def end_by_revoking(database: Database, issued: IssuedKey) -> None:
    with database.transaction() as session:
        revoke_key(session, issued.id)


def end_by_disabling(database: Database, issued: IssuedKey) -> None:
    with database.transaction() as session:
        disable_principal(session, issued.principal_id)


class TestChanges:
    @pytest.mark.parametrize("end", [end_by_revoking, end_by_disabling])
    def test_key_and_token_end_together_with_the_next_look(
        self, database: Database, callers: Callers, end: Callable[[Database, IssuedKey], None]
    ) -> None:
        issued, other = issue(database), issue(database)
        callers.refresh()
        token = callers.exchange(issued.id, issued.secret, None).token
        assert callers.verify(token)
        end(database, issued)
        callers.refresh()
        for credential in (issued.secret, token):
            with pytest.raises(UnknownKey):
                callers.verify(credential)
        assert callers.verify(other.secret)

    def test_an_enabled_principal_is_let_in_again_with_the_keys_it_has(
        self, database: Database, callers: Callers
    ) -> None:
        issued = issue(database)
        end_by_disabling(database, issued)
        with database.transaction() as session:
            enable_principal(session, issued.principal_id)
        callers.refresh()
        assert callers.verify(issued.secret)

    def test_what_a_caller_may_follows_its_groups_at_once_with_a_token_too(
        self, database: Database, callers: Callers
    ) -> None:
        with database.transaction() as session:
            issued = create_key(session, name="test", groups=["analyst"])
            create_group(session, "team", scopes=[Scope.RUNS_WRITE])
            add_member(session, "team", issued.principal_id)
        callers.refresh()
        token = callers.exchange(issued.id, issued.secret, None).token
        analyst = {Scope.PROFILES_READ, Scope.PIPELINES_READ, Scope.RUNS_READ}
        steps: list[tuple[Callable[..., object], tuple[object, ...], set[Scope]]] = [
            (nest, ("compliance", "team"), analyst | {Scope.RUNS_WRITE, Scope.PROFILES_READ_PII, Scope.AUDIT_READ}),
            (unnest, ("compliance", "team"), analyst | {Scope.RUNS_WRITE}),
            (remove_member, ("analyst", issued.principal_id), {Scope.RUNS_WRITE}),
            (set_group_scopes, ("team", []), set()),
        ]
        for change, arguments, left in steps:
            with database.transaction() as session:
                change(session, *arguments)
            callers.refresh()
            assert callers.verify(issued.secret).scopes == left
            assert callers.verify(token).scopes <= left, "a token never grows"
        assert callers.verify(token).scopes == set()

    def test_changes_reach_a_running_process_without_a_call(self, database: Database) -> None:
        issued = issue(database)
        with Callers(database, TOKENS, refresh_seconds=0.05) as callers:
            assert callers.verify(issued.secret)
            end_by_revoking(database, issued)
            later = issue(database)
            _until(lambda: _is_let_in(callers, later.secret) and not _is_let_in(callers, issued.secret))


class TestFreshness:
    def test_while_nothing_changes_one_number_is_read(self, database: Database, callers: Callers) -> None:
        issue(database)
        callers.refresh()
        statements: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        callers.refresh()
        assert [statement.split("FROM")[1].strip() for statement in statements if "SELECT" in statement] == [
            "access_generation"
        ]

    def test_before_the_first_reading_nobody_is_let_in(self, database: Database, callers: Callers) -> None:
        issued = issue(database)
        assert not callers.is_fresh
        for credential in (issued.secret, "eyJ.e30.x"):
            with pytest.raises(KeysUnavailable):
                callers.verify(credential)

    def test_callers_that_cannot_be_read_any_more_are_let_in_no_more_until_they_can(self, tmp_path: Path) -> None:
        database = Database(f"sqlite:///{tmp_path / 'control.db'}")
        upgrade(database)
        issued = issue(database)
        with Callers(database, TOKENS, refresh_seconds=0.05, max_age_seconds=0.4) as callers:
            assert callers.verify(issued.secret)
            with database.transaction() as session:
                session.execute(text("ALTER TABLE access_generation RENAME TO elsewhere"))
            _until(lambda: not callers.is_fresh)
            with pytest.raises(KeysUnavailable):
                callers.verify(issued.secret)
            with database.transaction() as session:
                session.execute(text("ALTER TABLE elsewhere RENAME TO access_generation"))
            _until(lambda: _is_let_in(callers, issued.secret))
        database.close()

    def test_a_long_writer_does_not_make_the_callers_old(self, database: Database, callers: Callers) -> None:
        issued = issue(database)
        with database.transaction() as writer:
            create_key(writer, name="not committed", scopes=[Scope.PROFILES_READ])
            callers.refresh()  # on SQLite this would wait for the writer if it asked for more than to read
        assert callers.verify(issued.secret)


class TestLastUse:
    def test_it_is_written_coarsely_when_the_process_ends_or_before(self, database: Database) -> None:
        used, unused = issue(database), issue(database)
        began = clock.now()
        with Callers(database, TOKENS) as callers:
            callers.verify(used.secret)
            with database.reading() as session:
                assert session.get_one(ApiKey, used.id).last_used_at is None, "no request waits for the database"
        with database.reading() as session:
            last = session.get_one(ApiKey, used.id).last_used_at
            assert last is not None
            assert began - timedelta(minutes=1) < last <= clock.now()
            assert (last.second, last.microsecond) == (0, 0)
            assert session.get_one(ApiKey, unused.id).last_used_at is None

    def test_it_never_goes_back(self, database: Database) -> None:
        issued = issue(database)
        later = clock.now() + timedelta(days=1)
        with database.transaction() as session:
            session.get_one(ApiKey, issued.id).last_used_at = later
        with Callers(database, TOKENS) as callers:
            callers.verify(callers.exchange(issued.id, issued.secret, None).token)
        with database.reading() as session:
            assert session.get_one(ApiKey, issued.id).last_used_at == later


def test_an_expired_token_is_told_from_a_forged_one(database: Database) -> None:
    callers = Callers(database, Tokens(TOKENS._ring, TOKENS.issuer, lifetime_seconds=0))
    issued = issue(database)
    callers.refresh()
    with pytest.raises(ExpiredToken):
        callers.verify(callers.exchange(issued.id, issued.secret, None).token)


def _is_let_in(callers: Callers, secret: str) -> bool:
    try:
        callers.verify(secret)
    except (Unauthenticated, KeysUnavailable):
        return False
    return True


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
