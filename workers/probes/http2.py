"""One request by HTTP/2, over a connection of its own. The frames are h2's; what is read is bounded as with
HTTP/1.1, and in the number of what is no body too.
"""

from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from workers.probes.answer import HEADERS_AT_MOST, Answer, Asked
from workers.probes.run import Failed, Unfit

_STREAM: Final = 1
_EVENTS_AT_MOST: Final = 5000
# What is about a connection, which HTTP/2 says in frames.
_NOT_SENT: Final = frozenset(
    {b"connection", b"host", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)


class Http2Answer(Answer):
    """It also has the request: when what of it may be sent is up to the other side."""

    def __init__(self, asked: Asked, keep: bool = True) -> None:
        super().__init__(asked.method, keep)
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._connection = self._parser = h2.connection.H2Connection(config)
        self._connection.initiate_connection()
        head, _, self._unsent = asked.wire.partition(b"\r\n\r\n")
        self._events = 0
        try:
            self._connection.send_headers(_STREAM, _headers(asked, head), end_stream=not self._unsent)
        except h2.exceptions.ProtocolError:
            raise Unfit("HTTP/2 has no way to say one of the headers.") from None
        self._send_more()

    @property
    def has_begun(self) -> bool:
        return self.head_read

    def reply(self) -> bytes:
        return b"" if self.ended else self._connection.data_to_send()

    def feed(self, data: bytes) -> None:
        try:
            for event in self._connection.receive_data(data):
                self._take(event)
                if self.ended:
                    return
            self._send_more()
        except h2.exceptions.ProtocolError:
            raise Failed("protocol", "The answer is not HTTP/2.") from None
        if self.too_many:
            raise Failed("too large", f"There are more than {self.too_many}.")

    def end_of_stream(self) -> None:
        raise Failed("closed", "The connection was closed before the answer was whole.")

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._take_head(list(event.headers or ()))
            case h2.events.DataReceived():
                self.on_body(event.data or b"")
                self._connection.acknowledge_received_data(event.flow_controlled_length or 0, _STREAM)
            case h2.events.StreamEnded():
                self._finish()
            case h2.events.StreamReset():
                raise Failed("closed", f"It ends the request without a whole answer: {_said(event)}.")
            case h2.events.ConnectionTerminated() if event.error_code:
                raise Failed("closed", f"It ends the connection: {_said(event)}.")
        self._events += not isinstance(event, h2.events.DataReceived) or not event.data
        if self._events > _EVENTS_AT_MOST:
            self.too_many = f"{_EVENTS_AT_MOST} frames"

    def _take_head(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = int(dict(headers)[b":status"])
        self.headers = [(name, value) for name, value in headers if not name.startswith(b":")]
        self.head_read = True
        if len(self.headers) > HEADERS_AT_MOST:
            self.too_many = f"{HEADERS_AT_MOST} header lines"

    def _send_more(self) -> None:
        while self._unsent and not self.ended:
            room = min(
                self._connection.local_flow_control_window(_STREAM),
                self._connection.max_outbound_frame_size,
            )
            if room <= 0:
                return
            some, self._unsent = self._unsent[:room], self._unsent[room:]
            self._connection.send_data(_STREAM, some, end_stream=not self._unsent)


def _headers(asked: Asked, head: bytes) -> list[tuple[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    sent = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
    pseudo = {
        b":method": asked.method.encode(),
        b":scheme": b"https" if asked.secure else b"http",
        b":authority": sent[b"host"],
        b":path": first.split(b" ")[1],
    }
    return [*pseudo.items(), *(each for each in sent.items() if each[0] not in _NOT_SENT)]


def _said(event: h2.events.StreamReset | h2.events.ConnectionTerminated) -> str:
    code = event.error_code
    return code.name if isinstance(code, h2.errors.ErrorCodes) else f"code {code}"
