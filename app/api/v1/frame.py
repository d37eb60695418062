"""What all resources of /v1 stand on: who asks, one transaction for all that a request changes, and the keys
against doing something twice.

In that transaction is what is compared with (If-Match), what is changed, and the answer that is kept
(Idempotency-Key). Nothing but the database is waited for in it.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response

from app.api.v1.problem import Answered
from app.api.v1.resource import Asked
from app.db import answers
from app.db.change import Change, Changes
from app.domain.monitor import Catalog
from app.domain.pages import on_pages
from app.security.guard import caller_of
from app.security.secrets import Secrets, Unreadable

A = TypeVar("A")


class Frame:
    """What all resources stand on."""

    def __init__(
        self,
        changes: Changes,
        secrets: Secrets,
        now: Callable[[], datetime],
        catalog: Callable[[], Catalog],
    ) -> None:
        self.changes = changes
        self.secrets = secrets
        self.now = now
        self._catalog = catalog

    def asked(self, request: Request[Any, Any, Any]) -> Asked:
        caller = caller_of(request)
        sees = None
        if caller.pages is not None:
            pages = on_pages(self._catalog())
            sees = frozenset[str]().union(*(pages[slug].slugs for slug in caller.pages if slug in pages))
        return Asked(caller, str(request.path_params.get("parent", "")), sees)

    async def change(
        self, request: Request[Any, Any, Any], work: Callable[[Change, Asked], Awaitable[A]]
    ) -> A:
        asked = self.asked(request)
        async with self.changes.by(asked.caller.actor, self.now()) as change:
            return await work(change, asked)

    async def once(
        self, request: Request[Any, Any, Any], work: Callable[[Change, Asked], Awaitable[Response[bytes]]]
    ) -> Response[bytes]:
        """As change, and with the same Idempotency-Key once only."""
        if (marks := await _marks(request)) is None:
            return await self.change(request, work)
        key, about = marks

        async def work_once(change: Change, asked: Asked) -> Response[bytes]:
            kept = await answers.begin(change.transaction, key, about, change.at)
            if kept is not None:
                return self._again(key, kept, about)
            return await self._kept(change, key, await work(change, asked))

        return await self.change(request, work_once)

    async def ask_once(
        self, request: Request[Any, Any, Any], work: Callable[[Asked], Awaitable[Response[bytes]]]
    ) -> Response[bytes]:
        """As once, for what is no change: it is done before the transaction that keeps its answer, and twice
        if two say the same at once."""
        asked = self.asked(request)
        if (marks := await _marks(request)) is None:
            return await work(asked)
        key, about = marks
        async with self.changes.database.reading() as transaction:
            kept = await answers.find(transaction, key, self.now())
        if kept is not None:
            return self._again(key, kept, about)
        answer = await work(asked)

        async def keep(change: Change, _: Asked) -> Response[bytes]:
            is_new = await answers.begin(change.transaction, key, about, change.at) is None
            return await self._kept(change, key, answer) if is_new else answer

        return await self.change(request, keep)

    async def _kept(self, change: Change, key: str, answer: Response[bytes]) -> Response[bytes]:
        # It may show a token, which is nowhere else in the clear.
        text = msgspec.json.encode((answer.status_code, answer.headers, bytes(answer.content).decode()))
        await answers.keep(change.transaction, key, self.secrets.seal(text.decode(), f"answer {key}"))
        return answer

    def _again(self, key: str, kept: answers.Kept, about: str) -> Response[bytes]:
        if kept.asked != about:
            raise Answered(422, "This Idempotency-Key was sent with another request before; take a new one.")
        try:
            status, headers, text = msgspec.json.decode(self.secrets.open(kept.answer, f"answer {key}"))
        except Unreadable:
            raise Answered(409, "This was done before, and its answer cannot be read any more.") from None
        return Response(text.encode(), status_code=status, headers=headers)


async def _marks(request: Request[Any, Any, Any]) -> tuple[str, str] | None:
    """What a request with an Idempotency-Key is known by, and what it asks for, both hashed."""
    if (given := request.headers.get("idempotency-key")) is None:
        return None
    key = f"{caller_of(request).key} {given}".encode()
    about = f"{request.method} {request.url.path}\n".encode() + await request.body()
    return hashlib.sha256(key).hexdigest(), hashlib.sha256(about).hexdigest()
