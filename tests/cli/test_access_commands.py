"""``c360 principal``, ``group``, ``token``, ``keyring``: a day of an admin on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kit.keyring import Purpose
from tests.fixtures.command import Command


@pytest.fixture
def home(tmp_path: Path, c360: Command) -> Path:
    home = tmp_path / "home"
    c360(home, "init")
    return home


def test_init_makes_one_admin_and_no_more_than_one(tmp_path: Path, c360: Command) -> None:
    home = tmp_path / "home"
    assert c360(home, "init", "--json").document["api_key"].startswith("c360_")
    assert c360(home, "init", "--json").document["api_key"] is None
    (admin,) = c360(home, "principal", "list", "--json").document["principals"]
    assert (admin["groups"], admin["own_scopes"]) == (["admin"], [])
    assert "principals:write" in admin["scopes"]


def test_an_admin_who_can_come_in_no_more_is_followed_by_another_one(home: Path, c360: Command) -> None:
    (admin,) = c360(home, "principal", "list", "--json").document["principals"]
    refused = c360(home, "principal", "disable", admin["id"], "--json")
    assert refused.error["code"] == "access.last_admin"
    assert c360(home, "principal", "disable", admin["id"], "--force", "--json").document["disabled_at"]
    assert c360(home, "init", "--json").document["api_key"].startswith("c360_")


def test_a_token_in_a_group_is_a_new_principal_with_a_key(home: Path, c360: Command) -> None:
    created = c360(home, "token", "create", "--group", "partner", "--name", "web shop", "--json").document
    assert created["api_key"].startswith(f"c360_{created['prefix']}_")
    shown = c360(home, "principal", "show", created["principal_id"], "--json").document
    assert (shown["name"], shown["groups"], shown["scopes"]) == ("web shop", ["partner"], ["profiles:read"])
    second = c360(home, "token", "create", "--principal", shown["id"], "--expires-in-days", "30", "--json").document
    listed = c360(home, "token", "list", "--principal", shown["id"], "--json").document["keys"]
    assert [(key["id"], key["state"]) for key in listed] == [(created["id"], "live"), (second["id"], "live")]
    assert created["api_key"].split("_")[2] not in json.dumps(listed)


@pytest.mark.parametrize("arguments", [(), ("--group", "partner", "--principal", "prn_1")])
def test_a_key_needs_one_holder(home: Path, c360: Command, arguments: tuple[str, ...]) -> None:
    assert c360(home, "token", "create", *arguments, "--json").error["code"] == "cli.unclear_holder"


def test_keys_are_rotated_and_revoked_by_id_or_prefix(home: Path, c360: Command) -> None:
    old = c360(home, "token", "create", "--group", "analyst", "--json").document
    new = c360(home, "token", "rotate", old["prefix"], "--grace-hours", "1", "--json").document
    c360(home, "token", "revoke", new["id"], "--json")
    states = {key["id"]: key["state"] for key in c360(home, "token", "list", "--json").document["keys"]}
    assert (states[old["id"]], states[new["id"]]) == ("rotated", "revoked")
    assert c360(home, "token", "revoke", "nothing", "--json").error["code"] == "auth.key_not_found"


def test_groups_are_made_filled_emptied_and_deleted(home: Path, c360: Command) -> None:
    made = c360(home, "group", "create", "team_a", "--scope", "runs:read", "--comment", "Team A.", "--json").document
    assert (made["name"], made["scopes"], made["built_in"]) == ("team_a", ["runs:read"], False)
    principal = c360(home, "principal", "create", "Ada", "--kind", "person", "--json").document["id"]
    c360(home, "group", "add", "team_a", principal, "--json")
    c360(home, "group", "add", "compliance", "team_a", "--json")
    shown = c360(home, "principal", "show", principal, "--json").document
    assert shown["scopes"] == ["audit:read", "profiles:read", "profiles:read:pii", "runs:read"]
    assert [member["id"] for member in c360(home, "group", "show", "team_a", "--json").document["principals"]] == [
        principal
    ]
    assert c360(home, "group", "scopes", "team_a", "--json").document["own_scopes"] == []
    c360(home, "group", "remove", "compliance", "team_a", "--json")
    assert c360(home, "principal", "show", principal, "--json").document["scopes"] == []
    assert c360(home, "group", "delete", "team_a", "--json").document == {"deleted": "team_a"}
    assert c360(home, "group", "delete", "admin", "--json").error["code"] == "access.built_in_group"


def test_people_are_told_the_same_in_tables(home: Path, c360: Command) -> None:
    created = c360(home, "token", "create", "--group", "partner")
    assert (created.code, "shown this once" in created.stdout) == (0, True)
    for command in (("principal", "list"), ("group", "list"), ("token", "list"), ("group", "show", "partner")):
        shown = c360(home, *command)
        assert shown.code == 0, shown.stderr
        assert "partner" in shown.stdout


def test_keys_of_the_ring_are_rotated_and_retired(home: Path, c360: Command) -> None:
    def of_tokens() -> list[str]:
        """Ids of the keys for tokens; the trail in which commands are recorded has a key of its own."""
        keys = c360(home, "keyring", "list", "--json").document["keys"]
        return [key["id"] for key in keys if key["purpose"] == "tokens"]

    assert of_tokens() == []
    first = c360(home, "keyring", "rotate", "tokens", "--json").document
    second = c360(home, "keyring", "rotate", "tokens", "--json").document
    assert of_tokens() == [first["id"], second["id"]]
    assert c360(home, "keyring", "retire", second["id"], "--json").error["code"] == "keyring.current_key"
    assert c360(home, "keyring", "retire", first["id"], "--json").document == first
    assert of_tokens() == [second["id"]]


def test_a_generated_ring_serves_in_the_place_of_the_file(
    home: Path, c360: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (home / "keyring.json").read_bytes()
    document = c360(home, "keyring", "generate").stdout
    (tmp_path / "mounted.json").write_text(document)
    for variable, value in (("C360_KEYRING", document), ("C360_KEYRING_FILE", str(tmp_path / "mounted.json"))):
        with monkeypatch.context() as patched:
            patched.setenv(variable, value)
            listed = c360(home, "keyring", "list", "--json").document["keys"]
            assert {key["purpose"] for key in listed} == set(Purpose)
            assert c360(home, "keyring", "rotate", "audit", "--json").error["code"] == "keyring.is_given"
    assert (home / "keyring.json").read_bytes() == own
