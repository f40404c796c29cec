from __future__ import annotations

import pytest

from governance.access import (
    Caller,
    MissingScope,
    Policy,
    Scope,
    UnknownScope,
    parse_scopes,
    require,
    visible_positions,
)
from governance.classification import PII_CLASSES

READ = frozenset({Scope.PROFILES_READ})
READ_PII = frozenset(Scope)


def test_a_reader_sees_the_key_and_what_is_public_and_nothing_personal() -> None:
    assert Policy.visible(READ, "public")
    assert Policy.visible(READ, "subject_key")
    assert not any(Policy.visible(READ, cls) for cls in PII_CLASSES)


def test_the_second_scope_adds_every_personal_class() -> None:
    assert all(Policy.visible(READ_PII, cls) for cls in (*PII_CLASSES, "public", "subject_key"))


@pytest.mark.parametrize("scopes", [frozenset(), frozenset({Scope.PROFILES_READ_PII})])
def test_without_the_base_scope_nothing_is_visible(scopes: frozenset[Scope]) -> None:
    assert not any(Policy.visible(scopes, cls) for cls in (*PII_CLASSES, "public", "subject_key"))


@pytest.mark.parametrize("cls", ["", "secret", "piiemail", "Public"])
def test_a_class_nobody_defined_is_visible_to_nobody(cls: str) -> None:
    assert not Policy.visible(READ_PII, cls)


def test_positions_follow_the_order_of_the_classes() -> None:
    classes = ("pii.email", "public", "pii.name", "unheard_of")
    assert visible_positions(READ, classes) == (1,)
    assert visible_positions(READ_PII, classes) == (0, 1, 2)


def test_require_names_the_scope_that_is_missing() -> None:
    require(Caller("prn_1", "key_1", READ), Scope.PROFILES_READ)
    with pytest.raises(MissingScope, match="profiles:read:pii"):
        require(Caller("prn_1", "key_1", READ), Scope.PROFILES_READ_PII)


@pytest.mark.parametrize(
    "names", [[], ["profiles:write"], ["profiles:read", "x"], ["profiles:read:pii"], ["PROFILES:READ"]]
)
def test_scopes_that_make_no_sense_are_refused(names: list[str]) -> None:
    with pytest.raises(UnknownScope):
        parse_scopes(names)
