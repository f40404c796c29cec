"""The key ring: what a caller may rely on, over rotation, several processes and damage."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import C360Error
from kit.key_document import ExposedKeyRing, UnreadableKeyRing, generate
from kit.keyring import (
    CurrentKey,
    KeyRing,
    KeyRingIsGiven,
    Mac,
    MissingKey,
    Purpose,
    Signature,
    UnknownKeyId,
    WrongPurpose,
)

HASHING = [purpose for purpose in Purpose if not purpose.signs]
SIGNING = [purpose for purpose in Purpose if purpose.signs]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keyring.json"


@pytest.fixture
def ring(path: Path) -> KeyRing:
    return KeyRing(path)


class TestKeyedHashes:
    def test_equal_data_have_equal_hashes_in_every_process(self, ring: KeyRing, path: Path) -> None:
        mac = ring.mac(Purpose.AUDIT, b"C1", context="customer")
        assert KeyRing(path).mac(Purpose.AUDIT, b"C1", context="customer") == mac
        assert len(mac.digest) == 32

    @given(data=st.binary(), other=st.binary(), context=st.sampled_from(["a", "ab", "b"]))
    def test_a_hash_holds_for_its_data_purpose_and_context_only(self, data: bytes, other: bytes, context: str) -> None:
        ring = GIVEN
        mac = ring.mac(Purpose.AUDIT, data, context=context)
        assert ring.verify_mac(Purpose.AUDIT, data, mac, context=context)
        assert ring.verify_mac(Purpose.AUDIT, other, mac, context=context) is (data == other)
        assert not ring.verify_mac(Purpose.AUDIT, data, mac, context=context + "x")
        assert not ring.verify_mac(Purpose.CURSORS, data, mac, context=context)
        assert not ring.verify_mac(Purpose.AUDIT, data, Mac(mac.key_id, mac.digest[:-1]), context=context)

    def test_what_was_hashed_before_a_rotation_is_found_after_it(self, ring: KeyRing) -> None:
        before = ring.mac(Purpose.SUPPRESSION, b"C1", context="customer")
        ring.rotate(Purpose.SUPPRESSION)
        after = ring.mac(Purpose.SUPPRESSION, b"C1", context="customer")
        assert ring.macs(Purpose.SUPPRESSION, b"C1", context="customer") == (after, before)
        assert after.key_id != before.key_id
        assert after.digest != before.digest


class TestSignatures:
    @pytest.mark.parametrize("purpose", SIGNING)
    def test_a_signature_holds_for_its_data_and_purpose_only(self, ring: KeyRing, purpose: Purpose) -> None:
        signature = ring.sign(purpose, b"data")
        (other,) = set(SIGNING) - {purpose}
        assert ring.verify(purpose, b"data", signature)
        assert not ring.verify(purpose, b"Data", signature)
        assert not ring.verify(other, b"data", signature)
        assert not ring.verify(purpose, b"data", Signature("tokens-00000000", signature.value))
        assert not ring.verify(purpose, b"data", Signature(signature.key_id, b""))

    def test_the_public_keys_are_all_those_that_verify_the_current_one_first(self, ring: KeyRing) -> None:
        first = ring.signing_key(Purpose.TOKENS)
        second = ring.rotate(Purpose.TOKENS)
        assert list(ring.public_keys(Purpose.TOKENS)) == [second.id, first.id]
        assert ring.public_key(Purpose.TOKENS, first.id) == first.public
        assert ring.public_key(Purpose.CERTIFICATES, first.id) is None

    def test_a_purpose_is_for_hashes_or_for_signatures(self, ring: KeyRing) -> None:
        for purpose in Purpose:
            with pytest.raises(WrongPurpose):
                ring.mac(purpose, b"", context="") if purpose.signs else ring.sign(purpose, b"")


class TestRotation:
    def test_a_running_process_verifies_what_another_one_has_just_begun_to_sign_with(self, path: Path) -> None:
        one, other = KeyRing(path), KeyRing(path)
        one.sign(Purpose.TOKENS, b"data")
        assert not other.verify(
            Purpose.TOKENS, b"data", Signature("tokens-00000000", b"")
        )  # it has read the file by now
        one.rotate(Purpose.TOKENS)
        assert other.verify(Purpose.TOKENS, b"data", one.sign(Purpose.TOKENS, b"data"))

    def test_a_retired_key_verifies_no_more_and_the_current_one_cannot_be_retired(self, ring: KeyRing) -> None:
        signature = ring.sign(Purpose.TOKENS, b"data")
        with pytest.raises(CurrentKey, match="rotate first"):
            ring.retire(signature.key_id)
        ring.rotate(Purpose.TOKENS)
        assert ring.verify(Purpose.TOKENS, b"data", signature)
        ring.retire(signature.key_id)
        assert not ring.verify(Purpose.TOKENS, b"data", signature)
        with pytest.raises(UnknownKeyId):
            ring.retire(signature.key_id)

    @settings(max_examples=30)
    @given(steps=st.lists(st.sampled_from(["make", "rotate", "retire the oldest", "open anew"]), max_size=12))
    def test_over_any_history_what_was_made_verifies_until_its_key_is_retired(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
    ) -> None:
        path = tmp_path_factory.mktemp("ring") / "keyring.json"
        ring, made = KeyRing(path), {}
        for step in steps:
            if step == "make":
                signature = ring.sign(Purpose.TOKENS, b"data")
                made[signature.key_id] = signature
            elif step == "rotate":
                ring.rotate(Purpose.TOKENS)
            elif step == "open anew":
                ring = KeyRing(path)
            elif len(ring.contents()) > 1:
                made.pop(ring.retire(ring.contents()[0].id).id, None)
            assert all(ring.verify(Purpose.TOKENS, b"data", signature) for signature in made.values())
            assert {key.id for key in ring.contents()} >= made.keys()

    def test_keys_that_only_a_newer_release_knows_survive_a_change_by_this_one(self, ring: KeyRing, path: Path) -> None:
        ring.complete()
        document = json.loads(path.read_text())
        document["keys"].append(document["keys"][0] | {"id": "later-1", "purpose": "later"})
        path.write_text(json.dumps(document))
        KeyRing(path).rotate(Purpose.AUDIT)
        assert "later" in {key.purpose for key in KeyRing(path).contents()}


CREATE = """
import sys
from pathlib import Path
from kit.keyring import KeyRing, Purpose
ring = KeyRing(Path(sys.argv[1]))
ring.complete()
ring.rotate(Purpose.TOKENS)
print(ring.mac(Purpose.AUDIT, b"C1", context="customer").digest.hex())
"""


class TestFile:
    def test_it_is_made_for_its_user_alone_whatever_the_umask(self, ring: KeyRing, path: Path) -> None:
        before = os.umask(0)
        try:
            ring.complete()
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(path.parent.iterdir()) == [path]

    def test_looking_makes_nothing(self, ring: KeyRing, path: Path) -> None:
        assert ring.contents() == ()
        assert ring.public_key(Purpose.TOKENS, "tokens-00000000") is None
        assert not path.parent.exists()

    def test_processes_that_start_together_agree_on_one_ring_and_lose_no_key(self, path: Path) -> None:
        together = [
            subprocess.Popen([sys.executable, "-c", CREATE, path], stdout=subprocess.PIPE, text=True) for _ in range(6)
        ]
        answers = [process.communicate()[0] for process in together]
        assert [process.returncode for process in together] == [0] * 6
        assert len(set(answers)) == 1
        purposes = [key.purpose for key in KeyRing(path).contents()]
        assert {purpose: purposes.count(purpose) for purpose in Purpose} == {
            purpose: 7 if purpose is Purpose.TOKENS else 1 for purpose in Purpose
        }

    def test_one_that_others_may_read_is_refused_with_what_to_do(self, ring: KeyRing, path: Path) -> None:
        ring.complete()
        path.chmod(0o640)
        with pytest.raises(ExposedKeyRing, match="chmod 600"):
            KeyRing(path).contents()

    def test_one_that_vanishes_takes_nothing_from_a_running_process(self, ring: KeyRing, path: Path) -> None:
        signature = ring.sign(Purpose.TOKENS, b"data")
        path.unlink()
        assert not ring.verify(Purpose.TOKENS, b"data", Signature("tokens-00000000", b""))  # makes it look again
        assert ring.verify(Purpose.TOKENS, b"data", signature)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: "",
            lambda text: text[:-20],
            lambda text: "[]",
            lambda text: text.replace('"version": 1', '"version": 2'),
            lambda text: text.replace('"secret": "', '"secret": "!'),
            lambda text: text.replace('"secret": "', '"secret": "AAAA'),
            lambda text: text.replace('"id": "tokens', '"id": "audit').replace('"id": "', '"id": "same", "x": "'),
            lambda text: text.replace('"created_at"', '"made_at"'),
            lambda text: text + "\ud800",
        ],
    )
    def test_damage_is_told_without_a_word_of_the_ring(self, path: Path, damage: Callable[[str], str]) -> None:
        path.parent.mkdir()
        path.touch(mode=0o600)
        path.write_bytes(damage(generate()).encode("utf-8", "surrogatepass"))
        secret = json.loads(generate())["keys"][0]["secret"]
        with pytest.raises(UnreadableKeyRing) as told:
            KeyRing(path).contents()
        assert secret not in str(told.value)
        assert told.value.__cause__ is None

    def test_no_secret_is_shown_by_repr(self, ring: KeyRing, path: Path) -> None:
        ring.complete()
        assert all(row["secret"] not in repr(ring.contents()) for row in json.loads(path.read_text())["keys"])
        assert "secret" not in repr(ring.contents())


class TestGiven:
    def test_a_document_wins_over_a_secret_file_which_wins_over_the_own_file(self, tmp_path: Path) -> None:
        documents = [generate(), generate()]
        mounted, own = tmp_path / "mounted", tmp_path / "keyring.json"
        mounted.write_text(documents[1])  # a secret store sets its own modes
        rings = [
            KeyRing.choose(own, document=documents[0], secret_file=mounted),
            KeyRing.choose(own, secret_file=mounted),
            KeyRing.choose(own),
        ]
        for ring, document in zip(rings, documents, strict=False):
            assert [key.id for key in ring.contents()] == [row["id"] for row in json.loads(document)["keys"]]
        assert not own.exists()
        rings[2].complete()
        assert own.exists()

    def test_it_is_never_changed_from_here(self) -> None:
        ring = KeyRing.choose(Path("nowhere"), document=generate())
        for change in (lambda: ring.rotate(Purpose.AUDIT), lambda: ring.retire("audit-1")):
            with pytest.raises(KeyRingIsGiven):
                change()

    def test_what_it_lacks_is_told_with_what_to_do(self) -> None:
        with pytest.raises(MissingKey, match="keyring generate"):
            KeyRing.choose(Path("nowhere"), document='{"version": 1, "keys": []}').mac(
                Purpose.AUDIT, b"", context="customer"
            )

    def test_a_secret_file_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(C360Error, match="FileNotFoundError"):
            KeyRing.choose(tmp_path / "own", secret_file=tmp_path / "missing").contents()


GIVEN = KeyRing.choose(Path("nowhere"), document=generate())
