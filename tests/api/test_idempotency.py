"""Idempotency keys: created once, however often it is asked for, and whoever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI, Request
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from starlette.responses import Response
from starlette.testclient import TestClient

from api.auth import CALLER
from api.changes import Changes
from api.errors import install_error_handlers
from api.idempotency import KEPT_FOR, REPLAYED, Creations, IdempotencyKey
from api.models import IdempotentRequest
from governance.access import Caller
from governance.audit import RecordedChanges
from kit.db import Database
from kit.keyring import KeyRing, Purpose
from tests.fixtures.runs import AS_OF
from workers import queue
from workers.models import Run


class Shop:
    """A route that creates a run per request, over one database, for two principals."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database = database
        self.ring = KeyRing(home / "keyring.json")
        self.client = TestClient(
            self._app(Creations(Changes(RecordedChanges(database, self.ring, name="shop")), self.ring)),
            raise_server_exceptions=False,
        )

    def _app(self, creations: Creations) -> FastAPI:
        app = FastAPI()
        install_error_handlers(app)

        @app.middleware("http")
        async def let_in(request: Request, call_next: Any) -> Any:
            request.scope[CALLER] = Caller(request.headers.get("principal", "alice"), "key_1", frozenset())
            return await call_next(request)

        @app.post("/things/{kind}")
        async def create_thing(
            request: Request, kind: str, wish: Annotated[dict[str, Any], Body()], key: IdempotencyKey = None
        ) -> Response:
            def create(session: Session) -> Response:
                run = queue.enqueue(
                    session, pipeline=kind, as_of=AS_OF, trigger="api", requested_by="p", dedup_key=wish.get("dedup"),
                    on_duplicate=queue.Duplicate.REFUSE,
                )  # fmt: skip
                return Response(run.id, 201, {"Location": f"/things/{run.id}"}, "text/plain")

            return await creations.answer(request, key, create, keep_answer=kind != "secret")

        return app

    def post(self, key: str | None, wish: Any = None, *, kind: str = "daily", principal: str = "alice") -> Any:
        headers = {"principal": principal} | ({"Idempotency-Key": key} if key is not None else {})
        return self.client.post(f"/things/{kind}", json=wish or {}, headers=headers)

    def count(self, of: Any = Run) -> int:
        with self.database.reading() as session:
            return session.scalars(select(func.count()).select_from(of)).one()


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    opened = Shop(database, tmp_path)
    with opened.client:
        yield opened


def test_the_same_request_gets_the_first_answer_again(shop: Shop) -> None:
    first, again = shop.post("k1", {"a": 1}), shop.post("k1", {"a": 1})
    assert (first.status_code, first.text) == (again.status_code, again.text)
    for header in ("location", "content-type"):
        assert again.headers[header] == first.headers[header]
    assert (first.headers.get(REPLAYED), again.headers.get(REPLAYED)) == (None, "true")
    assert shop.count() == 1


def test_without_a_key_or_with_another_it_is_another_request(shop: Shop) -> None:
    assert len({shop.post(key).text for key in (None, None, "k1", "k2")}) == 4


@pytest.mark.parametrize("other", [{"wish": {"a": 2}}, {"kind": "other"}])
def test_a_key_is_not_for_another_request(shop: Shop, other: dict[str, Any]) -> None:
    shop.post("k1", {"a": 1})
    refused = shop.post("k1", **{"wish": {"a": 1}, **other})
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency.key_reused")
    assert shop.count() == 1


def test_keys_of_one_principal_say_nothing_to_another(shop: Shop) -> None:
    assert shop.post("k1").text != shop.post("k1", principal="bob").text


def test_of_requests_at_once_one_creates_and_all_get_its_answer(shop: Shop) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: shop.post("k1"), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert [answer.headers.get(REPLAYED) for answer in answers].count(None) == 1
    assert shop.count() == 1


def test_a_request_that_failed_leaves_nothing_and_may_be_repeated(shop: Shop) -> None:
    blocking = shop.post(None, {"dedup": "d"}).text
    assert shop.post("k1", {"dedup": "d"}).status_code == 409
    assert shop.count(IdempotentRequest) == 0
    with shop.database.transaction() as session:
        queue.cancel(session, blocking)
    assert shop.post("k1", {"dedup": "d"}).status_code == 201


def test_an_answer_that_is_shown_once_is_not_kept(shop: Shop) -> None:
    assert shop.post("k1", kind="secret").status_code == 201
    refused = shop.post("k1", kind="secret")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency.answer_not_kept")
    assert shop.count() == 1
    with shop.database.reading() as session:
        assert session.scalars(select(IdempotentRequest.body)).one() is None


def test_what_was_sent_is_kept_as_keyed_hashes_only(shop: Shop) -> None:
    shop.post("ada@example.com", {"name": "Lovelace"})
    with shop.database.reading() as session:
        row = session.scalars(select(IdempotentRequest)).one()
    text = repr([getattr(row, column.name) for column in IdempotentRequest.__table__.columns])
    assert "ada" not in text
    assert "Lovelace" not in text


def test_a_day_later_the_key_is_free_and_old_ones_are_swept(shop: Shop) -> None:
    first = shop.post("k1").text
    shop.post("k2")
    with shop.database.transaction() as session:
        rows = session.scalars(select(IdempotentRequest)).all()
        for row in rows:
            row.created_at -= KEPT_FOR - timedelta(minutes=1)
    assert shop.post("k1").text == first
    with shop.database.transaction() as session:
        session.execute(update(IdempotentRequest).values(created_at=rows[0].created_at - timedelta(minutes=2)))
    assert shop.post("k1").text != first
    assert shop.count(IdempotentRequest) == 1


def test_a_rotation_of_the_key_ring_within_the_day_changes_nothing(shop: Shop) -> None:
    first = shop.post("k1").text
    shop.ring.rotate(Purpose.REQUESTS)
    assert shop.post("k1").text == first


@pytest.mark.parametrize("key", ["", "x" * 256, "\t"])
def test_a_key_that_is_none_is_refused(shop: Shop, key: str) -> None:
    assert shop.post(key).status_code == 422
    assert shop.count() == 0
