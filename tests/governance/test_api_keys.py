"""API keys as they are kept: issued, rotated, revoked. What they are worth to a server stands in test_callers.py."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from governance.access import Scope, UnknownScope
from governance.api_keys import (
    MAX_GRACE,
    PREFIX_LENGTH,
    InvalidExpiry,
    KeyEnded,
    KeyNotFound,
    create_key,
    get_key,
    is_well_formed,
    issue_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from governance.groups import UnknownGroup, groups_of
from governance.principals import InvalidName, UnknownPrincipal, list_principals
from kit import clock
from kit.db import Database

READ = [Scope.PROFILES_READ]


class TestIssue:
    def test_the_secret_is_stored_nowhere_and_never_shown_by_repr(self, database: Database) -> None:
        with database.transaction() as session:
            issued = create_key(session, name="shop", scopes=READ)
        with database.transaction() as session:
            stored = str(session.execute(text("SELECT * FROM api_key")).all())
        secret_part = issued.secret.rsplit("_", 1)[1]
        assert issued.prefix in stored
        assert secret_part not in stored
        assert secret_part not in repr(issued)

    def test_the_prefix_stands_in_the_key_and_has_its_length(self, database: Database) -> None:
        with database.transaction() as session:
            issued = create_key(session, name="shop", scopes=READ)
        assert issued.secret.startswith(f"c360_{issued.prefix}_")
        assert len(issued.prefix) == PREFIX_LENGTH
        assert is_well_formed(issued.secret)

    def test_a_new_key_brings_its_principal_in_its_groups(self, database: Database) -> None:
        with database.transaction() as session:
            issued = create_key(session, name=" shop ", groups=["partner", "analyst"])
            assert groups_of(session, [issued.principal_id]) == {issued.principal_id: ["analyst", "partner"]}
            (principal,) = list_principals(session)
            assert (principal.id, principal.name, principal.kind) == (issued.principal_id, "shop", "service")

    @pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\x00b", "a\nb"])
    def test_a_key_without_a_fitting_name_is_refused(self, database: Database, name: str) -> None:
        with database.transaction() as session, pytest.raises(InvalidName):
            create_key(session, name=name, scopes=READ)

    def test_what_is_named_must_be_there(self, database: Database) -> None:
        with database.transaction() as session:
            with pytest.raises(UnknownGroup):
                create_key(session, name="shop", groups=["nobody"])
            with pytest.raises(UnknownScope, match="choose from"):
                create_key(session, name="shop", scopes=["everything"])
            with pytest.raises(UnknownPrincipal):
                issue_key(session, "prn_nobody")
            session.rollback()

    def test_a_key_that_has_ended_already_is_not_issued(self, database: Database) -> None:
        with database.transaction() as session, pytest.raises(InvalidExpiry):
            create_key(session, name="shop", expires_at=clock.now() - timedelta(seconds=1))


class TestRotate:
    def test_the_new_key_is_like_the_old_one_which_goes_on_until_the_grace_ends(self, database: Database) -> None:
        end = clock.now() + timedelta(days=30)
        with database.transaction() as session:
            old = create_key(session, name="shop", scopes=READ, expires_at=end)
            began = clock.now()
            new = rotate_key(session, old.prefix, grace=timedelta(hours=2))
        with database.reading() as session:
            kept = get_key(session, old.id)
            assert kept.replaced_by == new.id
            assert kept.expires_at is not None
            assert began + timedelta(hours=2) <= kept.expires_at <= clock.now() + timedelta(hours=2)
        assert (new.name, new.principal_id, new.expires_at) == ("shop", old.principal_id, end)
        assert new.secret != old.secret

    def test_grace_never_lengthens_a_key(self, database: Database) -> None:
        end = clock.now() + timedelta(minutes=5)
        with database.transaction() as session:
            old = create_key(session, name="shop", scopes=READ, expires_at=end)
            rotate_key(session, old.id, grace=MAX_GRACE)
            assert get_key(session, old.id).expires_at == end

    def test_a_key_that_has_ended_is_not_rotated_nor_one_twice(self, database: Database) -> None:
        with database.transaction() as session:
            rotated, revoked = (create_key(session, name="shop", scopes=READ) for _ in range(2))
            rotate_key(session, rotated.id)
            revoke_key(session, revoked.id)
            for key in (rotated, revoked):
                with pytest.raises(KeyEnded):
                    rotate_key(session, key.id)

    @pytest.mark.parametrize("grace", [timedelta(seconds=-1), MAX_GRACE + timedelta(seconds=1)])
    def test_a_grace_is_neither_negative_nor_endless(self, database: Database, grace: timedelta) -> None:
        with database.transaction() as session:
            issued = create_key(session, name="shop", scopes=READ)
            with pytest.raises(InvalidExpiry):
                rotate_key(session, issued.id, grace=grace)


class TestRevoke:
    @pytest.mark.parametrize("handle", ["id", "prefix"])
    def test_a_revoked_key_stays_listed_with_its_first_date(self, database: Database, handle: str) -> None:
        with database.transaction() as session:
            issued, other = (create_key(session, name="shop", scopes=READ) for _ in range(2))
        for _ in range(2):
            with database.transaction() as session:
                revoked_at = revoke_key(session, getattr(issued, handle)).revoked_at
        with database.reading() as session:
            listed = {key.id: key.revoked_at for key in list_keys(session)}
            assert listed == {issued.id: revoked_at, other.id: None}

    def test_revoking_what_is_not_there_says_so(self, database: Database) -> None:
        with database.transaction() as session, pytest.raises(KeyNotFound):
            revoke_key(session, "key_nothing")


def test_the_keys_of_a_principal_are_listed_page_by_page(database: Database) -> None:
    with database.transaction() as session:
        first = create_key(session, name="shop", scopes=READ)
        create_key(session, name="other", scopes=READ)
        mine = {first.id} | {issue_key(session, first.principal_id, name=f"key {n}").id for n in range(4)}
    with database.reading() as session:
        seen: list[str] = []
        while page := list_keys(session, first.principal_id, limit=2, after=seen[-1] if seen else ""):
            seen += [key.id for key in page]
        assert seen == sorted(mine)
