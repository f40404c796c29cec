from __future__ import annotations

from datetime import date
from urllib.parse import quote

import pytest

from lakehouse.online.encode import ProfileEncoder
from pipelines.gold.customer_360 import dataset
from tests.fixtures.serving import Served

PERSONAL = [column.name for column in dataset.columns if column.is_pii]
PUBLIC = [column.name for column in dataset.columns if not column.is_pii]


class TestRead:
    def test_a_reader_gets_everything_but_what_is_personal_and_is_told_what_was_withheld(self, served: Served) -> None:
        response = served.get("/customers/C1", served.reader)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        body = response.json()
        assert body["customer_id"] == "C1"
        assert sorted(body) == sorted([*PUBLIC, "meta"])
        assert sorted(body["meta"].pop("withheld")) == sorted(PERSONAL)
        assert body["meta"] == {"as_of": "2026-02-01", "version": 7, "published_at": "2026-02-01T02:15:04Z"}

    def test_nothing_personal_reaches_a_reader_not_even_a_name_of_a_field_with_a_value(self, served: Served) -> None:
        officer = served.get("/customers/C1", served.officer).json()
        body = served.get("/customers/C1", served.reader).json()
        assert {name for name in PERSONAL if officer[name] is not None}
        assert not set(PERSONAL) & set(body)

    def test_an_officer_gets_all_fields(self, served: Served) -> None:
        body = served.get("/customers/C1", served.officer).json()
        assert sorted(body) == sorted([*dataset.column_names, "meta"])
        assert body["meta"]["withheld"] == []

    def test_callers_of_different_rights_in_turn_each_get_their_own_meta(self, served: Served) -> None:
        for key, withheld in [(served.reader, len(PERSONAL)), (served.officer, 0)] * 2:
            assert len(served.get("/customers/C1", key).json()["meta"]["withheld"]) == withheld

    @pytest.mark.parametrize("customer_id", ["a/b", "ü ñ", "x y", "100%", "..", "a?b#c", "+"])
    def test_any_id_can_be_asked_for_percent_encoded(self, served: Served, customer_id: str) -> None:
        path = "/customers/" + (quote(customer_id, safe="") if customer_id != ".." else "%2E%2E")
        assert served.get(path, served.reader).json()["customer_id"] == customer_id

    def test_a_slash_that_is_not_encoded_is_another_path(self, served: Served) -> None:
        assert served.get("/customers/a/b", served.reader).json()["code"] == "http.no_such_path"

    def test_an_unknown_customer_is_a_404_problem_that_is_not_cached(self, served: Served) -> None:
        response = served.get("/customers/nobody", served.reader)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["cache-control"] == "no-store"
        assert response.json() == {
            "type": "urn:c360:problem:customer.not_found",
            "title": "Not Found",
            "status": 404,
            "detail": "there is no profile of this customer",
            "code": "customer.not_found",
            "instance": "/customers/nobody",
            "request_id": response.headers["x-request-id"],
        }

    @pytest.mark.parametrize("path", ["/customers/%ff", "/customers/%C3", "/customers/%ED%A0%80"])
    def test_an_id_that_is_not_utf8_is_refused(self, served: Served, path: str) -> None:
        response = served.get(path, served.reader)
        assert (response.status_code, response.json()["code"]) == (400, "customer.malformed_id")

    def test_before_the_first_publication_it_is_unavailable_not_unknown(self, unpublished: Served) -> None:
        response = unpublished.get("/customers/C1", unpublished.reader)
        assert (response.status_code, response.json()["code"]) == (503, "customer.not_published")
        assert response.headers["retry-after"]
        unpublished.publish(["C1"], version=1)
        assert unpublished.get("/customers/C1", unpublished.reader).status_code == 200

    def test_a_deleted_profile_is_gone_at_once(self, served: Served) -> None:
        assert served.get("/customers/C1", served.reader).status_code == 200
        served.publish(["C2"], version=8)
        assert served.get("/customers/C1", served.reader).status_code == 404

    def test_head_is_get_without_the_body(self, served: Served) -> None:
        key = {"Authorization": f"Bearer {served.reader}"}
        got, head = served.client.get("/customers/C1", headers=key), served.client.head("/customers/C1", headers=key)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))
        assert head.headers["etag"] == got.headers["etag"]
        assert served.client.head("/customers/nobody", headers=key).status_code == 404
        assert served.client.head("/customers/C1").status_code == 401


class TestConditional:
    def test_the_tag_sent_back_is_answered_304_without_a_body(self, served: Served) -> None:
        first = served.get("/customers/C1", served.reader)
        again = served.get("/customers/C1", served.reader, **{"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == first.headers[name]

    @pytest.mark.parametrize("form", ["{0}", "W/{0}", '"other", W/{0}', "*", "{0},"])
    def test_every_form_of_the_header_that_matches_does(self, served: Served, form: str) -> None:
        tag = served.get("/customers/C1", served.reader).headers["etag"].removeprefix("W/")
        assert served.get("/customers/C1", served.reader, **{"If-None-Match": form.format(tag)}).status_code == 304

    @pytest.mark.parametrize("sent", ['"other"', "", '"', "{bare}"])
    def test_a_tag_that_does_not_match_gets_the_profile(self, served: Served, sent: str) -> None:
        tag = served.get("/customers/C1", served.reader).headers["etag"]
        sent = sent.format(bare=tag.removeprefix('W/"').removesuffix('"'))
        assert served.get("/customers/C1", served.reader, **{"If-None-Match": sent}).status_code == 200

    def test_one_callers_tag_means_nothing_for_a_caller_with_other_rights(self, served: Served) -> None:
        officer = served.get("/customers/C1", served.officer).headers["etag"]
        assert served.get("/customers/C1", served.reader, **{"If-None-Match": officer}).status_code == 200
        assert served.get("/customers/C1", served.officer).headers["vary"] == "Authorization, X-API-Key"

    def test_the_tag_changes_with_what_the_caller_sees_and_with_nothing_else(self, served: Served) -> None:
        """A change of e-mail is a change to an officer only; a new date without new data is one to nobody."""
        before = {key: served.get("/customers/C1", key).headers["etag"] for key in (served.reader, served.officer)}
        encoder = ProfileEncoder(dataset)
        profile, header = served.store.get(encoder.view, "C1"), served.store.header(encoder.view)
        assert profile is not None
        assert header is not None
        parts = dict(zip(profile.classes, profile.segments, strict=True))
        moved = type(header)(header.table, 8, date(2026, 2, 2), header.published_at, header.fields)
        served.store.apply(encoder.view, [("C1", parts)], (), moved, after=7)
        assert {key: served.get("/customers/C1", key).headers["etag"] for key in before} == before
        assert served.get("/customers/C1", served.reader).json()["meta"]["as_of"] == "2026-02-02"

        parts["pii.email"] = b'"email":"new@example.com"'
        later = type(header)(header.table, 9, date(2026, 2, 2), header.published_at, header.fields)
        served.store.apply(encoder.view, [("C1", parts)], (), later, after=8)
        after = {key: served.get("/customers/C1", key).headers["etag"] for key in before}
        assert after[served.reader] == before[served.reader]
        assert after[served.officer] != before[served.officer]
