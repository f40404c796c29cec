"""Access tokens: what this module writes it accepts, and nothing else that anybody can think of."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.access import Caller, Scope, Unauthenticated
from governance.tokens import AUDIENCE, ExpiredToken, InvalidToken, Tokens
from kit.key_document import generate
from kit.keyring import KeyRing, Purpose

ISSUER = "https://c360.example"
RING = KeyRing.choose(Path("nowhere"), document=generate())
TOKENS = Tokens(RING, ISSUER)
CALLER = Caller("prn_1", "key_1", frozenset({Scope.PROFILES_READ}))


def issue(**changes: Any) -> str:
    return TOKENS.issue(CALLER, CALLER.scopes, not_after=changes.get("not_after", float("inf"))).token


def sign(
    claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None, purpose: Purpose = Purpose.TOKENS
) -> str:
    """A token signed with the true key; changed members, or (None) left out."""
    key = RING.signing_key(purpose)
    good = jwt.decode(issue(), options={"verify_signature": False})
    body = {name: value for name, value in (good | (claims or {})).items() if value is not None}
    head = {"alg": "EdDSA", "typ": "at+jwt", "kid": RING.signing_key(Purpose.TOKENS).id} | (header or {})
    head = {name: value for name, value in head.items() if value is not None}
    signed = f"{_encode(head)}.{_encode(body)}"
    return f"{signed}.{_text(key.private.sign(signed.encode()))}"


def unsigned(algorithm: str) -> str:
    head, body, _ = sign(header={"alg": algorithm}).split(".")
    return f"{head}.{body}."


def with_public_key_as_secret(encode: Callable[[Any], bytes]) -> str:
    """The classic confusion: an HMAC made with what everybody can read at /.well-known/jwks.json."""
    head, body, _ = sign(header={"alg": "HS256"}).split(".")
    public = encode(RING.signing_key(Purpose.TOKENS).public)
    digest = hmac.digest(public, f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{_text(digest)}"


def with_own_key(**header: Any) -> str:
    """Signed by an attacker's key that the token itself brings along."""
    own = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _text(own.public_key().public_bytes_raw())}
    claims = jwt.decode(issue(), options={"verify_signature": False})
    known = RING.signing_key(Purpose.TOKENS).id
    headers = {"typ": "at+jwt", "kid": known} | ({"jwk": jwk} if header.get("jwk") else {}) | header.get("more", {})
    return jwt.encode(claims, own, algorithm="EdDSA", headers=headers)


ATTACKS: dict[str, Callable[[], str]] = {
    "no algorithm": lambda: unsigned("none"),
    "no algorithm, other case": lambda: unsigned("nOnE"),
    "no signature": lambda: unsigned("EdDSA"),
    "public key as HMAC secret, raw": lambda: with_public_key_as_secret(lambda key: key.public_bytes_raw()),
    "public key as HMAC secret, PEM": lambda: with_public_key_as_secret(
        lambda key: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ),
    "another key under our id": with_own_key,
    "a key it brings along": lambda: with_own_key(jwk=True),
    "a key at an address": lambda: with_own_key(
        more={"jku": "https://evil.example/jwks", "x5u": "https://evil.example"}
    ),
    "another algorithm under our id": lambda: jwt.encode(
        jwt.decode(issue(), options={"verify_signature": False}),
        generate_private_key(SECP256R1()),
        algorithm="ES256",
        headers={"typ": "at+jwt", "kid": RING.signing_key(Purpose.TOKENS).id},
    ),
    "unknown key id": lambda: sign(header={"kid": "tokens-00000000"}),
    "no key id": lambda: sign(header={"kid": None}),
    "a path as key id": lambda: sign(header={"kid": "../../../../dev/null"}),
    "a number as key id": lambda: sign(header={"kid": 1}),
    "a key of another purpose": lambda: sign(
        header={"kid": RING.signing_key(Purpose.CERTIFICATES).id}, purpose=Purpose.CERTIFICATES
    ),
    "an ID token": lambda: sign(header={"typ": "JWT"}),
    "no type": lambda: sign(header={"typ": None}),
    "an extension we do not know": lambda: sign(header={"crit": ["exp"]}),
    "another issuer": lambda: sign({"iss": "https://evil.example"}),
    "the issuer with a slash": lambda: sign({"iss": ISSUER + "/"}),
    "several issuers": lambda: sign({"iss": [ISSUER]}),
    "another audience": lambda: sign({"aud": "urn:other"}),
    "not yet": lambda: sign({"nbf": int(time.time()) + 3600}),
    "a text as end": lambda: sign({"exp": "never"}),
    "a number as subject": lambda: sign({"sub": 1}),
    "a list as scope": lambda: sign({"scope": ["principals:write"]}),
    **{
        f"without {name}": (lambda name=name: sign({name: None}))
        for name in ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope")  # type: ignore[misc]
    },
    "a list as claims": lambda: ".".join((issue().split(".")[0], _encode([1]), issue().split(".")[2])),
    "no JSON": lambda: "eyJ.eyJ.eyJ",
    "far too long": lambda: sign({"padding": "x" * 5000}),
    "an infinite end": lambda: sign({"exp": float("inf")}),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused_and_not_repeated(attack: Callable[[], str]) -> None:
    token = attack()
    with pytest.raises(InvalidToken) as refused:
        TOKENS.verify(token)
    assert "eyJ" not in refused.value.message
    assert refused.value.__cause__ is None


def test_the_helper_signs_what_is_accepted() -> None:
    """Else the attacks above would be refused for another reason than the one they try."""
    claims = TOKENS.verify(sign())
    assert (claims.principal_id, claims.key_id, claims.scopes) == ("prn_1", "key_1", CALLER.scopes)
    assert TOKENS.verify(sign({"aud": [AUDIENCE, "urn:other"]})).principal_id == "prn_1"


@given(at=st.integers(0), letter=st.sampled_from("ABab01-_.=!"))
def test_a_token_changed_anywhere_is_refused(at: int, letter: str) -> None:
    token = ISSUED
    at %= len(token) - 1  # the very last letter has bits that mean nothing
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        with pytest.raises(InvalidToken):
            TOKENS.verify(changed)


@given(text=st.text(max_size=200))
def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.verify(text)


def test_it_has_the_form_of_rfc_9068() -> None:
    before = int(time.time())
    token = issue()
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "typ": "at+jwt",
        "kid": RING.signing_key(Purpose.TOKENS).id,
    }
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"}
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, AUDIENCE, "prn_1")
    assert (claims["client_id"], claims["scope"]) == ("key_1", "profiles:read")
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == 600
    assert issue() != token, "every token has an id of its own"


def test_an_expired_one_is_told_so_and_one_beyond_its_limit_is_not_issued_for_longer() -> None:
    with pytest.raises(ExpiredToken):
        TOKENS.verify(sign({"exp": int(time.time()) - 1}))
    with pytest.raises(ExpiredToken):
        TOKENS.verify(issue(not_after=time.time() - 1))


def test_scopes_that_only_a_newer_release_knows_count_for_nothing() -> None:
    assert TOKENS.verify(sign({"scope": "shares:manage runs:read"})).scopes == {Scope.RUNS_READ}


@settings(max_examples=25)
@given(steps=st.lists(st.sampled_from(["issue", "rotate", "retire the oldest"]), max_size=10))
def test_over_any_history_of_keys_a_token_counts_until_its_key_is_retired(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    ring = KeyRing(tmp_path_factory.mktemp("ring") / "keyring.json")
    tokens, live, dead = Tokens(ring, ISSUER), [], []
    for step in steps:
        if step == "issue":
            live.append(tokens.issue(CALLER, CALLER.scopes, not_after=float("inf")).token)
        elif step == "rotate":
            ring.rotate(Purpose.TOKENS)
        elif len(ring.contents()) > 1:
            retired = ring.retire(ring.contents()[0].id).id
            dead += [token for token in live if jwt.get_unverified_header(token)["kid"] == retired]
            live = [token for token in live if token not in dead]
        assert all(tokens.verify(token).principal_id == "prn_1" for token in live)
        for token in dead:
            with pytest.raises(Unauthenticated):
                tokens.verify(token)


def _encode(document: Any) -> str:
    return _text(json.dumps(document).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


ISSUED = issue()
