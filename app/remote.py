"""A server that runs somewhere, asked by the command line: its REST API, and its stream.

It connects to what the operator wrote into STATUSWIRE_URL, and to nothing else. Whatever is wrong is one
sentence.
"""

import http.client
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from secrets import token_hex
from typing import Any, Final, NoReturn
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from app.reach import Refused

HOME: Final = "http://127.0.0.1:8000"
PATIENCE: Final = 15.0
# Two beats and a half: who has heard nothing for that long is not connected, whatever the socket says.
SILENCE: Final = 38.0
_LONGEST: Final = 16 << 20
_ALL_AT_ONCE: Final = 200
_TRIES: Final = 2


class Frame(Struct, frozen=True):
    """`kind` is snapshot, patch, beat or bye."""

    kind: str
    id: str
    said: dict[str, Any]


class NotDone(Refused):
    """The server has answered, and what it says is the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Broken(Exception):
    """The server was not to be reached, or is gone in the middle."""


class Remote:
    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"STATUSWIRE_URL is {url[:80]!r}; it must be such as https://status.example.")
        self.place = f"{parts.scheme}://{parts.netloc}"
        self._parts = parts
        self._token = token

    def ask(self, method: str, path: str, said: Mapping[str, Any] | None = None) -> Any:
        """What is answered, read; None for an empty answer. Raises Refused, and NotDone as such."""
        headers = self._headers({"content-type": "application/json"} if said is not None else {})
        if method == "POST":
            # Sent again after the connection broke, it is the same change.
            headers["idempotency-key"] = token_hex(16)
        body = None if said is None else msgspec.json.encode(said)
        for left in reversed(range(_TRIES)):
            try:
                return self._answer(method, path, body, headers)
            except Broken as broken:
                if not left:
                    raise Refused(f"{broken}; start that server, or correct STATUSWIRE_URL.") from None

    def items(self, path: str) -> Iterator[dict[str, Any]]:
        """All of a list, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            asked = {"limit": _ALL_AT_ONCE, **({"cursor": cursor} if cursor else {})}
            page = self.ask("GET", f"{path}?{urlencode(asked)}")
            yield from page["items"]
            cursor = page["next"]

    def frames(self, since: str, **asked: str) -> Iterator[Frame]:
        """From behind `since` until the stream ends. Raises Broken when it does, or Refused if it is not ours
        to see."""
        named = {name: value for name, value in asked.items() if value}
        query = f"?{urlencode(named)}" if named else ""
        headers = self._headers({"accept": "text/event-stream"}) | ({"last-event-id": since} if since else {})
        try:
            with closing(self._connection(SILENCE)) as connection:
                connection.request("GET", f"{self._parts.path.rstrip('/')}/events{query}", headers=headers)
                answer = connection.getresponse()
                if answer.status != 200:
                    self._refuse(answer.status, answer.read(_LONGEST))
                yield from _frames(answer)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(self._why(error)) from None
        raise Broken(f"{self.place} has ended the stream")

    def _answer(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Any:
        try:
            with closing(self._connection(PATIENCE)) as connection:
                connection.request(method, f"{self._parts.path.rstrip('/')}{path}", body, headers)
                answer = connection.getresponse()
                text = answer.read(_LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(self._why(error)) from None
        if answer.status >= 300:
            self._refuse(answer.status, text)
        try:
            return msgspec.json.decode(text) if text else None
        except msgspec.DecodeError:
            raise Refused(
                f"{self.place} does not answer like a Statuswire: look at STATUSWIRE_URL."
            ) from None

    def _connection(self, patience: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        return kind(self._parts.netloc.rpartition("@")[2], timeout=patience)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        token = {"authorization": f"Bearer {self._token}"} if self._token else {}
        return {"accept": "application/json", "user-agent": "statuswire", **token, **more}

    def _refuse(self, status: int, text: bytes) -> NoReturn:
        try:
            said = str(msgspec.json.decode(text)["detail"])
        except (msgspec.DecodeError, KeyError, TypeError):
            said = f"{self.place} answered {status}: look at STATUSWIRE_URL."
        if status == 401:
            said = f"{said} STATUSWIRE_TOKEN is to hold one, which `statuswire token create` makes."
        raise NotDone(status, said)

    def _why(self, error: Exception) -> str:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{self.place} cannot be reached ({why})"


def from_environment() -> Remote:
    """That of STATUSWIRE_URL, with STATUSWIRE_TOKEN."""
    return Remote(os.environ.get("STATUSWIRE_URL", HOME), os.environ.get("STATUSWIRE_TOKEN", ""))


def follow_stream(remote: Remote, since: str, **asked: str) -> Iterator[Frame | Broken]:
    """Every frame, over all breaks, for ever: from behind the last that was heard. A break is among them. The
    first connection must come about, or what was typed is wrong."""
    tries, last, was_heard = 0, since, False
    while True:
        try:
            for frame in remote.frames(last, **asked):
                tries, last, was_heard = 0, frame.id or last, True
                yield frame
        except Broken as broken:
            if not was_heard:
                raise Refused(f"{broken}; start that server, or correct STATUSWIRE_URL.") from None
            yield broken
        tries += 1
        # Not all that were cut off come back in the same instant.
        time.sleep(min(30.0, 0.5 * 2 ** min(tries, 7)) * random.uniform(0.5, 1.0))


def _frames(answer: http.client.HTTPResponse) -> Iterator[Frame]:
    kind, id, data = "", "", b""
    while line := answer.readline(_LONGEST):
        name, _, value = line.rstrip(b"\r\n").partition(b": ")
        if name == b"event":
            kind = value.decode()
        elif name == b"id":
            id = value.decode()
        elif name == b"data":
            data = value
        elif not name and data:
            yield Frame(kind, id, msgspec.json.decode(data))
            kind, id, data = "", "", b""
