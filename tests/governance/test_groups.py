"""Groups in groups, changes that are refused, and the last admin."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from governance.access import Scope, UnknownScope
from governance.api_keys import IssuedKey, create_key, issue_key, revoke_key, rotate_key
from governance.changes import LastAdmin, has_admin
from governance.group_graph import BUILT_IN, GroupGraph
from governance.groups import (
    BuiltInGroup,
    GroupCycle,
    GroupExists,
    InvalidGroupName,
    UnknownGroup,
    add_member,
    children_of,
    create_group,
    delete_group,
    groups_of,
    list_groups,
    list_members,
    nest,
    remove_member,
    set_group_scopes,
    unnest,
)
from governance.models import Group
from governance.principals import UnknownPrincipal, create_principal, disable_principal
from kit.db import Database

NAMES = "abcdef"
EDGES = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14)


@given(edges=EDGES, members=st.sets(st.sampled_from(NAMES)), data=st.data())
def test_a_member_may_what_every_group_above_gives_and_nothing_else(
    edges: set[tuple[str, str]], members: set[str], data: st.DataObject
) -> None:
    given_by = {name: frozenset(data.draw(st.sets(st.sampled_from(list(Scope)), max_size=2))) for name in NAMES}
    reached = set(members)
    while more := {parent for parent, child in edges if child in reached} - reached:  # cycles among them, too
        reached |= more
    graph = GroupGraph(given_by, edges)
    assert graph.closure(members) == reached
    assert graph.scopes(members) == {scope for name in reached for scope in given_by[name]}
    for scope in Scope:
        assert graph.granting(scope) == {name for name in NAMES if scope in graph.scopes([name])}


@given(wanted=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=25))
def test_no_order_of_nestings_makes_a_cycle_and_only_those_that_would_are_refused(
    wanted: list[tuple[str, str]],
) -> None:
    """What ``nest`` asks before each step, against a search that knows nothing of it."""
    edges: set[tuple[str, str]] = set()
    for parent, child in wanted:
        graph = GroupGraph({}, edges)
        refused = child in graph.closure([parent])
        assert refused is _has_cycle(edges | {(parent, child)})
        if not refused:
            edges.add((parent, child))


def _has_cycle(edges: set[tuple[str, str]]) -> bool:
    left = set(edges)
    while removable := {edge for edge in left if edge[1] not in {parent for parent, _ in left}}:
        left -= removable
    return bool(left)


class TestGroups:
    def test_the_built_in_ones_are_there_and_belong_to_the_release(self, database: Database) -> None:
        with database.transaction() as session:
            assert [group.name for group in list_groups(session)] == sorted(BUILT_IN)
            for change in (lambda: set_group_scopes(session, "partner", []), lambda: delete_group(session, "partner")):
                with pytest.raises(BuiltInGroup):
                    change()
            with pytest.raises(GroupExists):
                create_group(session, "partner")

    @pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a/b", "é", "a" * 65, "a\n"])
    def test_a_name_that_does_not_fit_an_address_is_refused(self, database: Database, name: str) -> None:
        with database.transaction() as session, pytest.raises(InvalidGroupName):
            create_group(session, name)

    def test_what_is_not_there_is_said(self, database: Database) -> None:
        with database.transaction() as session:
            principal = create_principal(session, "shop")
            for change in (
                lambda: add_member(session, "nobody", principal.id),
                lambda: nest(session, "nobody", "partner"),
                lambda: unnest(session, "partner", "nobody"),
                lambda: list_members(session, "nobody") and delete_group(session, "nobody"),
                lambda: delete_group(session, "nobody"),
            ):
                with pytest.raises(UnknownGroup):
                    change()
            with pytest.raises(UnknownPrincipal):
                add_member(session, "partner", "prn_nobody")
            with pytest.raises(UnknownScope):
                create_group(session, "team", scopes=["everything"])

    def test_members_come_and_go_once(self, database: Database) -> None:
        with database.transaction() as session:
            principal = create_principal(session, "shop")
            create_group(session, "team")
            for _ in range(2):
                add_member(session, "team", principal.id)
                nest(session, "partner", "team")
            assert groups_of(session, [principal.id]) == {principal.id: ["team"]}
            assert children_of(session, ["partner", "team"]) == {"partner": ["team"], "team": []}
            assert [member.id for member in list_members(session, "team")] == [principal.id]
            for _ in range(2):
                remove_member(session, "team", principal.id)
                unnest(session, "partner", "team")
            assert groups_of(session, [principal.id]) == {principal.id: []}
            assert children_of(session, ["partner"]) == {"partner": []}

    def test_groups_are_never_in_each_other(self, database: Database) -> None:
        with database.transaction() as session:
            for name in "abc":
                create_group(session, name)
            nest(session, "a", "b")
            nest(session, "b", "c")
            for parent, child in (("b", "a"), ("c", "a"), ("c", "b"), ("a", "a")):
                with pytest.raises(GroupCycle):
                    nest(session, parent, child)
            nest(session, "a", "c")

    def test_two_that_nest_at_once_make_no_cycle(self, database: Database) -> None:
        with database.transaction() as session:
            create_group(session, "a")
            create_group(session, "b")
        refused: list[Exception] = []

        def put(parent: str, child: str) -> None:
            try:
                with database.transaction() as session:
                    nest(session, parent, child)
            except GroupCycle as cycle:
                refused.append(cycle)

        both = [Thread(target=put, args=pair) for pair in (("a", "b"), ("b", "a"))]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert len(refused) == 1
        with database.reading() as session:
            assert sorted(map(len, children_of(session, ["a", "b"]).values())) == [0, 1]

    def test_a_deleted_group_is_gone_from_everywhere(self, database: Database) -> None:
        with database.transaction() as session:
            principal = create_principal(session, "shop")
            create_group(session, "team")
            nest(session, "analyst", "team")
            add_member(session, "team", principal.id)
            delete_group(session, "team")
            assert session.get(Group, "team") is None
            assert groups_of(session, [principal.id]) == {principal.id: []}
            assert children_of(session, ["analyst"]) == {"analyst": []}


def disabled(session: Session, admin: IssuedKey, *, force: bool) -> object:
    return disable_principal(session, admin.principal_id, force=force)


def revoked(session: Session, admin: IssuedKey, *, force: bool) -> object:
    return revoke_key(session, admin.id, force=force)


def removed(session: Session, admin: IssuedKey, *, force: bool) -> object:
    return remove_member(session, "chiefs", admin.principal_id, force=force)


def unnested(session: Session, _admin: IssuedKey, *, force: bool) -> object:
    return unnest(session, "admin", "chiefs", force=force)


def deleted(session: Session, _admin: IssuedKey, *, force: bool) -> object:
    return delete_group(session, "chiefs", force=force)


@pytest.mark.parametrize("lock_out", [disabled, revoked, removed, unnested, deleted])
class TestLastAdmin:
    def test_nobody_locks_out_the_last_one_unless_forced(
        self, database: Database, lock_out: Callable[..., object]
    ) -> None:
        admin = self.only_admin(database)
        with pytest.raises(LastAdmin, match="another admin first"), database.transaction() as session:
            lock_out(session, admin, force=False)
        with database.reading() as session:
            assert has_admin(session), "what was refused was rolled back"
        with database.transaction() as session:
            lock_out(session, admin, force=True)
        with database.reading() as session:
            assert not has_admin(session)

    def test_another_admin_who_can_come_in_is_enough(self, database: Database, lock_out: Callable[..., object]) -> None:
        admin = self.only_admin(database)
        with database.transaction() as session:
            create_key(session, name="second", scopes=[Scope.PRINCIPALS_WRITE])
            lock_out(session, admin, force=False)

    def test_others_who_cannot_come_in_do_not_count(self, database: Database, lock_out: Callable[..., object]) -> None:
        admin = self.only_admin(database)
        with database.transaction() as session:
            create_principal(session, "no key", scopes=[Scope.PRINCIPALS_WRITE])
            narrow = create_principal(session, "narrowed", scopes=[Scope.PRINCIPALS_WRITE, Scope.RUNS_READ])
            issue_key(session, narrow.id, scopes=[Scope.RUNS_READ])
            ended = create_key(session, name="revoked", scopes=[Scope.PRINCIPALS_WRITE])
            revoke_key(session, ended.id)
            gone = create_key(session, name="disabled", scopes=[Scope.PRINCIPALS_WRITE])
            disable_principal(session, gone.principal_id)
        with pytest.raises(LastAdmin), database.transaction() as session:
            lock_out(session, admin, force=False)

    def only_admin(self, database: Database) -> IssuedKey:
        """An admin by a group that is in the admin group."""
        with database.transaction() as session:
            create_group(session, "chiefs")
            nest(session, "admin", "chiefs")
            return create_key(session, name="chief", groups=["chiefs"])


def test_the_last_admin_s_key_can_be_rotated_and_the_old_one_revoked(database: Database) -> None:
    with database.transaction() as session:
        old = create_key(session, name="chief", groups=["admin"])
        new = rotate_key(session, old.id)
        revoke_key(session, old.id)
        with pytest.raises(LastAdmin):
            revoke_key(session, new.id)
        session.rollback()
