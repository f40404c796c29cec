"""Through a real server and a socket: bytes as clients send them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from threading import Thread

import pytest
import uvicorn

from tests.fixtures.serving import Served

CRLF = b"\r\n"


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Signals belong to the test run."""


@pytest.fixture(params=["httptools", "h11"])
def address(request: pytest.FixtureRequest, served: Served) -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        served.app, http=request.param, access_log=False, log_level="warning", lifespan="off", ws="none"
    )
    server = _Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(30)
    listener.close()


def ask(address: tuple[str, int], target: bytes, key: str | None, method: bytes = b"GET") -> tuple[int, bytes, bytes]:
    """(status, head, body) of one request whose target is sent exactly as given."""
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: test", b"Connection: close"]
    if key:
        lines.append(b"Authorization: Bearer " + key.encode())
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(CRLF.join(lines) + CRLF + CRLF)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(CRLF + CRLF)
    return int(head.split()[1]), head.lower(), body


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/customers/a%2Fb", '"customer_id":"a/b"'),
        (b"/customers/%C3%BC%20%C3%B1", '"customer_id":"ü ñ"'),
        (b"/customers/100%25", '"customer_id":"100%"'),
        (b"/customers/..", '"customer_id":".."'),
        (b"/customers/+", '"customer_id":"+"'),
        (b"/customers/C1?x=/docs", '"customer_id":"C1"'),
    ],
)
def test_ids_arrive_as_they_were_sent(address: tuple[str, int], served: Served, target: bytes, expected: str) -> None:
    status, _, body = ask(address, target, served.reader)
    assert status == 200
    assert expected.encode() in body


@pytest.mark.parametrize(
    "target", [b"//healthz", b"/docs/../customers/C1", b"/x/../healthz", b"/healthz%00", b"*", b"/./docs"]
)
def test_no_spelling_of_a_target_gets_data_without_a_key(address: tuple[str, int], target: bytes) -> None:
    status, _, body = ask(address, target, None)
    assert status in {400, 401, 404}
    assert b"customer_id" not in body


def test_head_has_the_length_of_get_and_no_body(address: tuple[str, int], served: Served) -> None:
    _, _, whole = ask(address, b"/customers/C1", served.reader)
    status, head, body = ask(address, b"/customers/C1", served.reader, b"HEAD")
    assert (status, body) == (200, b"")
    assert b"content-length: %d" % len(whole) in head


def test_a_response_has_one_request_id(address: tuple[str, int]) -> None:
    _, head, _ = ask(address, b"/healthz", None)
    assert head.count(b"x-request-id:") == 1
