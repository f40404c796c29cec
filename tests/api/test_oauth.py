"""Access tokens over HTTP, as any OAuth 2 client asks for them."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from governance.access import Scope
from governance.api_keys import IssuedKey, create_key, revoke_key
from governance.principals import disable_principal
from governance.tokens import AUDIENCE
from tests.fixtures.serving import Served

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def client(served: Served) -> IssuedKey:
    """A key that a running server knows."""
    with served.database.transaction() as session:
        issued = create_key(session, name="client", groups=["compliance"])
    _until(served, issued.secret, 200)
    return issued


def basic(client_id: str, secret: str) -> dict[str, str]:
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def ask(served: Served, form: Mapping[str, str] | str = GRANT, **headers: str) -> Any:
    content_type = {"Content-Type": "application/x-www-form-urlencoded"}
    body = form if isinstance(form, str) else "&".join(f"{name}={quote(value)}" for name, value in form.items())
    return served.client.post("/oauth/token", content=body, headers={**content_type, **headers})


def in_form(client: IssuedKey, **more: str) -> dict[str, str]:
    return {**GRANT, "client_id": client.id, "client_secret": client.secret, **more}


class TestGrant:
    def test_a_token_serves_in_the_place_of_its_key(self, served: Served, client: IssuedKey) -> None:
        for answer in (
            ask(served, in_form(client)),
            ask(served, in_form(client) | {"client_id": client.principal_id}),
            ask(served, **basic(client.id, client.secret)),
            ask(served, GRANT | {"client_id": client.id, "unknown": "is ignored"}, **basic(client.id, client.secret)),
        ):
            assert answer.status_code == 200, answer.text
            assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
            body = answer.json()
            assert (body["token_type"], body["expires_in"]) == ("Bearer", 600)
            assert body["scope"] == "audit:read profiles:read profiles:read:pii"
            read = served.get("/customers/C1", body["access_token"])
            assert read.status_code == 200
            assert read.json() == served.get("/customers/C1", client.secret).json()

    def test_a_narrowed_token_sees_less(self, served: Served, client: IssuedKey) -> None:
        body = ask(served, in_form(client, scope="profiles:read")).json()
        assert body["scope"] == "profiles:read"
        assert "email" in served.get("/customers/C1", body["access_token"]).json()["meta"]["withheld"]
        assert "email" not in served.get("/customers/C1", client.secret).json()["meta"]["withheld"]

    def test_a_token_is_no_api_key(self, served: Served, client: IssuedKey) -> None:
        token = ask(served, in_form(client)).json()["access_token"]
        assert ask(served, in_form(client) | {"client_secret": token}).status_code == 401

    def test_others_can_check_a_token_with_what_the_server_publishes(self, served: Served, client: IssuedKey) -> None:
        metadata = served.get("/.well-known/oauth-authorization-server").json()
        assert metadata["token_endpoint"] == metadata["issuer"] + "/oauth/token"
        assert metadata["jwks_uri"] == metadata["issuer"] + "/.well-known/jwks.json"
        assert set(metadata["scopes_supported"]) == set(Scope)
        keys = jwt.PyJWKSet.from_dict(served.get("/.well-known/jwks.json").json())
        token = ask(served, in_form(client)).json()["access_token"]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["EdDSA"], issuer=metadata["issuer"], audience=AUDIENCE)
        assert (claims["sub"], claims["client_id"]) == (client.principal_id, client.id)

    def test_the_published_keys_hold_nothing_private(self, served: Served) -> None:
        answer = served.get("/.well-known/jwks.json")
        assert [set(key) for key in answer.json()["keys"]] == [{"kty", "crv", "x", "kid", "use", "alg"}]
        assert answer.headers["cache-control"] == "public, max-age=300"


class TestRefuse:
    @pytest.mark.parametrize(
        ("form", "error"),
        [
            ("", "invalid_request"),
            ("grant_type=", "invalid_request"),
            ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
            ("grant_type=client_credentials&scope=%ff", "invalid_request"),
            ("grant_type=client_credentials&scope=é", "invalid_request"),
            ("&".join(f"a{n}=1" for n in range(30)), "invalid_request"),
            ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
            ("grant_type=authorization_code&code=a", "unsupported_grant_type"),
        ],
    )
    def test_what_is_no_such_request(self, served: Served, client: IssuedKey, form: str, error: str) -> None:
        answer = ask(served, form, **basic(client.id, client.secret))
        assert (answer.status_code, answer.json()["error"]) == (400, error)
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data; boundary=x", ""])
    def test_another_form_of_body(self, served: Served, client: IssuedKey, media_type: str) -> None:
        answer = ask(served, in_form(client), **{"Content-Type": media_type})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    def test_credentials_sent_two_ways(self, served: Served, client: IssuedKey) -> None:
        for form in (in_form(client), GRANT | {"client_id": client.principal_id}):
            answer = ask(served, form, **basic(client.id, client.secret))
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    def test_other_credentials(self, served: Served, client: IssuedKey) -> None:
        with served.database.transaction() as session:
            stranger = create_key(session, name="stranger", groups=["partner"])
        for answer in (
            ask(served),
            ask(served, in_form(client) | {"client_id": stranger.id}),
            ask(served, in_form(client) | {"client_secret": client.secret[:-1]}),
            ask(served, GRANT | {"client_id": client.id}),
            ask(served, Authorization=f"Bearer {client.secret}"),
            ask(served, Authorization="Basic !"),
            ask(served, Authorization="Basic YQ=="),
            ask(served, **basic("", "")),
        ):
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
            assert answer.headers["www-authenticate"] == 'Basic realm="customer360"'
            assert client.secret not in answer.text

    @pytest.mark.parametrize(
        "scope", ["principals:write", "profiles:read runs:write", "everything", "profiles:read:pii"]
    )
    def test_scopes_that_the_key_has_not_or_that_make_no_sense(
        self, served: Served, client: IssuedKey, scope: str
    ) -> None:
        answer = ask(served, in_form(client, scope=scope))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
        assert "everything" not in answer.text

    def test_descriptions_have_the_letters_that_the_rfc_allows(self, served: Served, client: IssuedKey) -> None:
        for form in (in_form(client, scope="x"), in_form(client) | {"client_secret": "x"}, {}, {"grant_type": "x"}):
            text = ask(served, form).json()["error_description"]
            assert all(0x20 <= ord(letter) <= 0x7E and letter not in '"\\' for letter in text)

    def test_only_post_is_taken(self, served: Served) -> None:
        answer = served.get("/oauth/token")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


class TestEnd:
    @pytest.mark.parametrize("end", ["revoke", "disable"])
    def test_a_token_ends_with_its_key_and_its_principal_while_the_server_runs(
        self, served: Served, client: IssuedKey, end: str
    ) -> None:
        token = ask(served, in_form(client)).json()["access_token"]
        assert served.get("/customers/C1", token).status_code == 200
        with served.database.transaction() as session:
            if end == "revoke":
                revoke_key(session, client.id)
            else:
                disable_principal(session, client.principal_id)
        _until(served, token, 401)
        refused = served.get("/customers/C1", token)
        assert refused.headers["www-authenticate"] == 'Bearer realm="customer360", error="invalid_token"'
        assert ask(served, in_form(client)).status_code == 401

    def test_a_forged_token_is_refused_over_http(self, served: Served, client: IssuedKey) -> None:
        token = ask(served, in_form(client)).json()["access_token"]
        head, body, signature = token.split(".")
        for forged in (f"{head}.{body}.", f"{head}.{body}.{signature[:-4]}AAAA", f"{body}.{head}.{signature}"):
            answer = served.get("/customers/C1", forged)
            assert (answer.status_code, answer.json()["code"]) == (401, "auth.invalid_token")
            assert forged not in answer.text


def _until(served: Served, credential: str, status: int) -> None:
    deadline = time.monotonic() + 20
    while served.get("/customers/C1", credential).status_code != status:
        assert time.monotonic() < deadline, f"it did not become {status}"
        time.sleep(0.05)
