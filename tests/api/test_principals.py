"""Principals, groups and keys, managed over HTTP by an admin."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from governance.access import Scope
from governance.api_keys import create_key
from governance.group_graph import BUILT_IN
from tests.fixtures.serving import Served

MISSING = "prn_00000000000000000000000000"


class Admin:
    """An admin at a keyboard."""

    def __init__(self, served: Served) -> None:
        self._served = served
        with served.database.transaction() as session:
            self.key = create_key(session, name="admin", groups=["admin"])
        _until(served, self.key.secret, "/principals", 200)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int | None = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        credentials = {"Authorization": f"Bearer {self.key.secret}"}
        response = self._served.client.request(method, path, json=body, headers={**credentials, **(headers or {})})
        assert expect is None or response.status_code == expect, response.text
        return response

    def make(self, **body: Any) -> Any:
        return self("POST", "/principals", {"name": "web shop", **body}, expect=201).json()


@pytest.fixture
def admin(served: Served) -> Admin:
    return Admin(served)


class TestPrincipals:
    def test_what_is_made_is_at_its_address_with_all_that_it_may(self, admin: Admin) -> None:
        response = admin(
            "POST",
            "/principals",
            {"name": " web shop ", "kind": "service", "groups": ["partner"], "scopes": ["runs:read"]},
            expect=201,
        )
        made = response.json()
        assert made["name"] == "web shop"
        assert made["groups"] == ["partner"]
        assert (made["own_scopes"], made["scopes"]) == (["runs:read"], ["profiles:read", "runs:read"])
        assert made["disabled_at"] is None
        assert admin("GET", response.headers["location"]).json() == made

    def test_a_new_key_works_within_seconds_until_its_principal_is_disabled(self, served: Served, admin: Admin) -> None:
        made = admin.make(groups=["partner"])
        issued = admin("POST", f"/principals/{made['id']}/keys", {}, expect=201)
        key = issued.json()
        _until(served, key["secret"], "/customers/C1", 200)
        assert admin("GET", issued.headers["location"]).json().keys() >= {"id", "prefix", "last_used_at"}
        disabled = admin("POST", f"/principals/{made['id']}/disable").json()
        assert disabled["disabled_at"] is not None
        assert admin("POST", f"/principals/{made['id']}/disable").json() == disabled, "the first date stays"
        _until(served, key["secret"], "/customers/C1", 401)
        assert admin("POST", f"/principals/{made['id']}/enable").json()["disabled_at"] is None
        _until(served, key["secret"], "/customers/C1", 200)

    def test_all_of_them_are_listed_page_by_page(self, admin: Admin) -> None:
        made = {admin.make(name=f"service {n}")["id"] for n in range(5)}
        seen: list[str] = []
        path = "/principals?limit=2"
        while path:
            page = admin("GET", path).json()
            assert len(page["items"]) <= 2
            seen += [item["id"] for item in page["items"]]
            path = page["next_cursor"] and f"/principals?limit=2&cursor={page['next_cursor']}"
        assert seen == sorted(set(seen))
        assert made <= set(seen)

    def test_a_cursor_of_one_list_is_refused_in_another(self, admin: Admin) -> None:
        for n in range(3):
            admin.make(name=f"service {n}")
        cursor = admin("GET", "/principals?limit=1").json()["next_cursor"]
        for path in ("/groups", f"/principals/{admin.key.principal_id}/keys", "/groups/admin/principals"):
            refused = admin("GET", f"{path}?cursor={cursor}", expect=400)
            assert refused.json()["code"] == "api.invalid_cursor"
            assert cursor not in refused.text

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({}, 422, "http.invalid_request"),
            ({"name": ""}, 422, "http.invalid_request"),
            ({"name": "a", "secret": "b"}, 422, "http.invalid_request"),
            ({"name": "a", "kind": "robot"}, 422, "http.invalid_request"),
            ({"name": "a", "scopes": ["everything"]}, 422, "http.invalid_request"),
            ({"name": "a", "groups": ["No Such"]}, 422, "http.invalid_request"),
            ({"name": "a\u0000b"}, 400, "access.invalid_name"),
            ({"name": "   "}, 400, "access.invalid_name"),
            ({"name": "a", "scopes": ["profiles:read:pii"]}, 400, "access.unknown_scope"),
            ({"name": "a", "groups": ["nobody"]}, 404, "access.unknown_group"),
        ],
    )
    def test_what_does_not_fit_is_refused_and_not_repeated(
        self, admin: Admin, body: dict[str, Any], status: int, code: str
    ) -> None:
        before = admin("GET", "/principals").json()
        refused = admin("POST", "/principals", body, expect=status)
        assert refused.json()["code"] == code
        assert "everything" not in refused.text
        assert "No Such" not in refused.text
        assert admin("GET", "/principals").json() == before

    def test_what_is_not_there_is_not_found(self, admin: Admin) -> None:
        for method, path in (
            ("GET", f"/principals/{MISSING}"),
            ("POST", f"/principals/{MISSING}/disable"),
            ("POST", f"/principals/{MISSING}/enable"),
            ("GET", f"/principals/{MISSING}/keys"),
        ):
            assert admin(method, path, expect=404).json()["code"] == "access.unknown_principal"

    def test_a_body_that_is_no_text_is_refused_like_any_other(self, served: Served, admin: Admin) -> None:
        headers = {"Authorization": f"Bearer {admin.key.secret}", "Content-Type": "application/json"}
        refused = served.client.post("/principals", content=b'{"name": "\xff"}', headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "http.invalid_request")

    def test_sent_twice_it_is_made_once(self, admin: Admin) -> None:
        once = {"Idempotency-Key": "a shop that I want once"}
        first = admin("POST", "/principals", {"name": "web shop"}, expect=201, headers=once)
        again = admin("POST", "/principals", {"name": "web shop"}, expect=201, headers=once)
        assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
        path = f"{first.headers['location']}/keys"
        admin("POST", path, {}, expect=201, headers=once | {"Idempotency-Key": "its key"})
        refused = admin("POST", path, {}, expect=409, headers=once | {"Idempotency-Key": "its key"})
        assert refused.json()["code"] == "idempotency.answer_not_kept", "a secret is shown once"
        assert len(admin("GET", path).json()["items"]) == 1


class TestKeys:
    def test_a_secret_is_shown_once(self, admin: Admin) -> None:
        path = f"/principals/{admin.make()['id']}/keys"
        issued = admin("POST", path, {"name": "till 1", "expires_at": "2100-01-01T00:00:00+01:00"}, expect=201).json()
        assert issued["expires_at"] == "2099-12-31T23:00:00Z"
        listed = admin("GET", path).text + admin("GET", f"{path}/{issued['id']}").text
        assert issued["prefix"] in listed
        assert issued["secret"].split("_")[2] not in listed
        assert "hash" not in listed

    def test_rotation_leaves_the_old_key_its_grace(self, served: Served, admin: Admin) -> None:
        path = f"/principals/{admin.make(groups=['partner'])['id']}/keys"
        old = admin("POST", path, {}, expect=201).json()
        new = admin("POST", f"{path}/{old['id']}/rotate", {"grace_seconds": 3600}, expect=201).json()
        for key in (old, new):
            _until(served, key["secret"], "/customers/C1", 200)
        kept = admin("GET", f"{path}/{old['id']}").json()
        assert kept["replaced_by"] == new["id"]
        assert kept["expires_at"] is not None
        assert admin("POST", f"{path}/{old['id']}/rotate", {}, expect=409).json()["code"] == "auth.key_ended"

    def test_a_key_is_found_under_its_own_principal_only(self, admin: Admin) -> None:
        first, second = admin.make()["id"], admin.make()["id"]
        key = admin("POST", f"/principals/{first}/keys", {}, expect=201).json()
        for method, path, body in (
            ("GET", f"/principals/{second}/keys/{key['id']}", None),
            ("POST", f"/principals/{second}/keys/{key['id']}/revoke", None),
            ("POST", f"/principals/{second}/keys/{key['id']}/rotate", {}),
        ):
            assert admin(method, path, body, expect=404).json()["code"] == "auth.key_not_found"
        assert admin("GET", f"/principals/{first}/keys/{key['id']}").json()["revoked_at"] is None

    def test_the_last_admin_does_not_lock_himself_out_unless_he_insists(self, served: Served, admin: Admin) -> None:
        with served.database.transaction() as session:
            for key in ("reader", "officer"):  # the fixture's officer may everything
                create_key(session, name=key, groups=["partner"])
        officer = next(
            item
            for item in admin("GET", "/principals").json()["items"]
            if item["name"] == "officer" and item["own_scopes"]
        )
        admin("POST", f"/principals/{officer['id']}/disable")
        mine = admin.key
        for method, path in (
            ("POST", f"/principals/{mine.principal_id}/keys/{mine.id}/revoke"),
            ("POST", f"/principals/{mine.principal_id}/disable"),
            ("DELETE", f"/groups/admin/principals/{mine.principal_id}"),
        ):
            assert admin(method, path, expect=409).json()["code"] == "access.last_admin"
        assert admin("POST", f"/principals/{mine.principal_id}/disable?force=true").json()["disabled_at"]
        _until(served, mine.secret, "/principals", 401)


class TestGroups:
    def test_membership_gives_and_takes_within_seconds(self, served: Served, admin: Admin) -> None:
        made = admin.make()
        key = admin("POST", f"/principals/{made['id']}/keys", {}, expect=201).json()
        _until(served, key["secret"], "/customers/C1", 403)
        admin("POST", "/groups", {"name": "shops"}, expect=201)
        admin("PUT", "/groups/partner/groups/shops", expect=204)
        admin("PUT", f"/groups/shops/principals/{made['id']}", expect=204)
        _until(served, key["secret"], "/customers/C1", 200)
        assert [item["id"] for item in admin("GET", "/groups/shops/principals").json()["items"]] == [made["id"]]
        assert admin("GET", "/groups/partner").json()["groups"] == ["shops"]
        admin("DELETE", "/groups/partner/groups/shops", expect=204)
        _until(served, key["secret"], "/customers/C1", 403)

    def test_own_groups_are_made_changed_and_deleted(self, admin: Admin) -> None:
        body = {"name": "team_a", "comment": "Team A.", "scopes": ["runs:read"]}
        response = admin("POST", "/groups", body, expect=201)
        assert admin("GET", response.headers["location"]).json() == response.json()
        assert admin("POST", "/groups", body, expect=409).json()["code"] == "access.group_exists"
        changed = admin("PUT", "/groups/team_a/scopes", {"scopes": ["audit:read"]}).json()
        assert changed["scopes"] == ["audit:read"]
        admin("DELETE", "/groups/team_a", expect=204)
        assert admin("GET", "/groups/team_a", expect=404).json()["code"] == "access.unknown_group"

    def test_built_in_ones_are_listed_with_what_they_give_and_stay(self, admin: Admin) -> None:
        listed = {item["name"]: item for item in admin("GET", "/groups").json()["items"]}
        assert {name: set(item["scopes"]) for name, item in listed.items()} == BUILT_IN
        assert set(listed["admin"]["scopes"]) == set(Scope)
        for method, path, body in (
            ("DELETE", "/groups/partner", None),
            ("PUT", "/groups/partner/scopes", {"scopes": []}),
        ):
            assert admin(method, path, body, expect=409).json()["code"] == "access.built_in_group"

    def test_groups_are_never_in_each_other(self, admin: Admin) -> None:
        for name in ("a", "b"):
            admin("POST", "/groups", {"name": name}, expect=201)
        admin("PUT", "/groups/a/groups/b", expect=204)
        assert admin("PUT", "/groups/b/groups/a", expect=409).json()["code"] == "access.group_cycle"


def _until(served: Served, secret: str, path: str, status: int) -> None:
    deadline = time.monotonic() + 20
    while served.get(path, secret).status_code != status:
        assert time.monotonic() < deadline, f"it did not become {status}"
        time.sleep(0.05)
