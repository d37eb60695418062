"""http over HTTP/2: against a server made of h2, which also tells what is no HTTP/2."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from app.domain.monitor import Expect, Monitor
from app.domain.result import Result
from tests.targets import OK, Behaviour, certified, listening, saying, verdict
from workers.probes import Probes

Handler = Callable[[h2.connection.H2Connection, dict[bytes, bytes], bytes], None]
Send = Callable[[], Awaitable[None]]


def speaking(handle: Handler) -> Behaviour:
    """An HTTP/2 server; `handle` is given each request when it is whole."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        head: dict[bytes, bytes] = {}
        body = b""
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                match event:
                    case h2.events.RequestReceived():
                        head = dict(event.headers or ())
                    case h2.events.DataReceived():
                        body += event.data or b""
                        connection.acknowledge_received_data(event.flow_controlled_length or 0, 1)
                    case h2.events.StreamEnded():
                        handle(connection, head, body)
            writer.write(connection.data_to_send())
            await writer.drain()

    return behave


def answering(body: bytes, status: bytes = b"200", **headers: str) -> Handler:
    def handle(connection: h2.connection.H2Connection, head: dict[bytes, bytes], sent: bytes) -> None:
        more = [(name.encode(), value.encode()) for name, value in headers.items()]
        connection.send_headers(1, [(b":status", status), (b"x-sent", b"%d" % len(sent)), *more])
        connection.send_data(1, body, end_stream=True)

    return handle


@pytest.fixture(scope="module")
def tls(ca: trustme.CA) -> ssl.SSLContext:
    context = certified(ca, "localhost", "127.0.0.1")
    context.set_alpn_protocols(["h2"])
    return context


async def look(
    probes: Probes, url: str, http2: str = "yes", expect: Expect | None = None, **words: object
) -> Result:
    options = {"http2": http2, **words}
    given = Monitor(
        key=repr((url, words)),
        kind="http",
        target=url,
        timeout=3.0,
        options=options,
        expect=expect or Expect(),
    )
    return await probes.probe(given)


@pytest.mark.parametrize("http2", ["yes", "only"])
async def test_a_request_is_answered_by_http2_with_phases_body_and_headers(
    probes: Probes, tls: ssl.SSLContext, http2: str
) -> None:
    heads: list[dict[bytes, bytes]] = []

    def handle(connection: h2.connection.H2Connection, head: dict[bytes, bytes], sent: bytes) -> None:
        heads.append(head)
        answering(b'{"db": "up"}', server="nginx")(connection, head, sent)

    async with listening(speaking(handle), tls=tls) as target:
        expect = Expect(json={"$.db": '"up"'}, header={"server": "nginx"}, status=((200, 200),))
        result = await look(probes, f"https://{target.place}/a?b=c", http2, expect, headers={"X-One": "1"})
    assert verdict(result) == ("ok", ""), result.detail
    [head] = heads
    assert (head[b":path"], head[b":method"], head[b"x-one"]) == (b"/a?b=c", b"GET", b"1")
    assert head[b":authority"] == target.place.encode() and b"connection" not in head
    assert result.phases.first_byte is not None and result.certificate_until is not None


async def test_a_body_larger_than_the_window_is_sent_whole(probes: Probes, tls: ssl.SSLContext) -> None:
    async with listening(speaking(answering(b"ok")), tls=tls) as target:
        send = "ü" * 65000
        expect = Expect(header={"x-sent": str(2 * 65000)})
        result = await look(probes, f"https://{target.place}/", expect=expect, method="POST", send=send)
    assert verdict(result) == ("ok", ""), result.detail


async def test_without_tls_only_who_wants_nothing_else_speaks_it(probes: Probes) -> None:
    async with listening(speaking(answering(b"ok"))) as target:
        assert verdict(await look(probes, target.url, "only")) == ("ok", "")
    async with listening(saying(OK)) as target:
        assert verdict(await look(probes, target.url, "yes")) == ("ok", "")
        assert (await look(probes, target.url, "only")).outcome == "fail"


async def test_who_does_not_speak_it_is_asked_by_http1_or_fails(probes: Probes, ca: trustme.CA) -> None:
    async with listening(saying(OK), tls=certified(ca, "127.0.0.1")) as target:
        assert verdict(await look(probes, f"https://{target.place}/", "yes")) == ("ok", "")
        assert verdict(await look(probes, f"https://{target.place}/", "only")) == ("fail", "protocol")


def resetting(connection: h2.connection.H2Connection, head: object, sent: object) -> None:
    connection.reset_stream(1, 2)


def going(connection: h2.connection.H2Connection, head: object, sent: object) -> None:
    connection.close_connection(11)


def flooding(connection: h2.connection.H2Connection, head: object, sent: object) -> None:
    for n in range(6000):
        connection.ping(b"%08d" % n)


def many(connection: h2.connection.H2Connection, head: object, sent: object) -> None:
    connection.send_headers(1, [(b":status", b"200"), *((b"a%d" % n, b"b") for n in range(200))])


@pytest.mark.parametrize(
    ("handle", "reason"),
    [(resetting, "closed"), (going, "closed"), (flooding, "too large"), (many, "too large")],
)
async def test_what_is_no_answer_fails(
    probes: Probes, tls: ssl.SSLContext, handle: Handler, reason: str
) -> None:
    async with listening(speaking(handle), tls=tls) as target:
        result = await look(probes, f"https://{target.place}/")
    assert verdict(result) == ("fail", reason), result.detail


@pytest.mark.parametrize("noise", [b"\0" * 4000, b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 20000])
async def test_noise_is_no_http2(probes: Probes, noise: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(noise)
        await reader.read()

    async with listening(behave) as target:
        result = await look(probes, target.url, "only")
    assert result.outcome == "fail" and result.reason in ("protocol", "timeout"), result.reason
