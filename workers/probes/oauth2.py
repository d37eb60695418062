"""Tokens for http probes, by the grant for machines: client credentials (RFC 6749, section 4.4). One
is kept until shortly before it ends; to fetch it is no part of what the target took.
"""

import time
from typing import Final

import httpx
import msgspec
from msgspec import Struct, structs

from app.domain.kinds.http import OAuth2
from app.domain.result import Outcome
from app.security.egress import NotResolved
from workers.probes.answer import Answer
from workers.probes.equipment import Equipment
from workers.probes.run import Failed, Run, Unfit
from workers.probes.transport import Transport, Way

_LIVES: Final = 300.0  # seconds, where the answer does not say
_MARGIN: Final = 0.9
_TOKENS_AT_MOST: Final = 10_000


class _Grant(Struct, frozen=True):
    access_token: str
    expires_in: float | None = None


class Tokens:
    def __init__(self, equipment: Equipment, transport: Transport) -> None:
        self._equipment = equipment
        self._transport = transport
        self._kept: dict[OAuth2, tuple[str, float]] = {}

    async def token(self, asked: OAuth2, way: Way, run: Run) -> str:
        token, until = self._kept.get(asked, ("", 0.0))
        if time.monotonic() >= until:
            began = time.perf_counter()
            grant = await self._fetch(asked, structs.replace(way, keep=True), run)
            run.began += time.perf_counter() - began
            token, until = grant.access_token, time.monotonic() + (grant.expires_in or _LIVES) * _MARGIN
            if len(self._kept) >= _TOKENS_AT_MOST:
                self._kept.clear()
            self._kept[asked] = token, until
        run.secrets.append(token)
        return token

    def drop(self, asked: OAuth2) -> None:
        """It was not accepted, so the next probe fetches another."""
        self._kept.pop(asked, None)

    async def _fetch(self, asked: OAuth2, way: Way, run: Run) -> _Grant:
        fill = self._equipment.fill
        form = {"grant_type": "client_credentials"} | ({"scope": asked.scope} if asked.scope else {})
        try:
            url = httpx.URL(fill(asked.url, run))
        except (httpx.InvalidURL, UnicodeError):
            raise Unfit("What tokens are asked for at is no URL.") from None
        request = httpx.Request(
            "POST",
            url,
            data=form,
            headers={"Accept": "application/json", "Connection": "close"},
            # Its own way there is not told as the target's.
            extensions={"run": Run(timeout=run.left, secrets=run.secrets), "way": way},
        )
        basic = httpx.BasicAuth(fill(asked.client, run), fill(asked.secret, run))
        try:
            response = await self._transport.handle_async_request(next(basic.auth_flow(request)))
        except (Failed, OSError, NotResolved) as error:
            if isinstance(error, TimeoutError) or getattr(error, "outcome", None) is Outcome.INCONCLUSIVE:
                raise
            raise _no_token(f"{error}") from None
        answer: Answer = response.extensions["answer"]
        if response.status_code != 200:
            raise _no_token(f"the status is {response.status_code}.")
        try:
            # Some servers write the number as text.
            grant = msgspec.json.decode(answer.body, type=_Grant, strict=False)
        except msgspec.DecodeError:
            raise _no_token("the answer holds none.") from None
        if not (grant.access_token.isascii() and grant.access_token.isprintable()):
            raise _no_token("it has characters in it that no header may have.")
        return grant


def _no_token(why: str) -> Failed:
    return Failed("auth", f"No token could be had: {why}", Outcome.UNREACHABLE)
