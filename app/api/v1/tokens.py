"""Tokens of programs at /v1/tokens. The text of a token is in the answer to POST, and nowhere else."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from app.api.v1.resource import Asked, Resource
from app.api.v1.words import Name, Slug
from app.db import tokens
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.people import Token
from app.security import issuing
from app.security.issuing import AT_MOST, TokenWords
from app.security.scopes import ADMIN, SCOPES

Scope = Annotated[str, Meta(pattern=f"^({'|'.join(SCOPES)})$")]


class TokenGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `expires` it is good until it is revoked; without `pages` and `addresses` for all of them."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(SCOPES))]
    pages: Annotated[tuple[Slug, ...], Meta(max_length=AT_MOST)] = ()
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=50)], ...], Meta(max_length=AT_MOST)] = ()
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class TokenIssued(Token, frozen=True, kw_only=True):
    """With its text, this once."""

    token: str


class Tokens(Resource[Token, TokenGiven]):
    name, words = "tokens", "a token"
    shown, given, issued = Token, TokenGiven, TokenIssued
    reads = writes = ADMIN
    example: ClassVar = {"name": "deploys", "scopes": ["incidents:write"]}

    async def list(self, transaction: Transaction, asked: Asked, after: str, limit: int) -> Sequence[Token]:
        return await tokens.list_tokens(transaction, after, limit)

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> Token | None:
        found = await tokens.find_token(transaction, id)
        return None if found is None else found[0]

    async def make(self, change: Change, asked: Asked, given: TokenGiven) -> TokenIssued:
        token, text = await issuing.issue_token(change, _words(given))
        fields = {name: getattr(token, name) for name in token.__struct_fields__}
        return TokenIssued(**fields, token=text)

    async def alter(self, change: Change, asked: Asked, old: Token, given: TokenGiven) -> Token:
        return await issuing.alter_token(change, old, _words(given))

    async def remove(self, change: Change, asked: Asked, old: Token) -> None:
        await issuing.revoke_token(change, old)


def _words(given: TokenGiven) -> TokenWords:
    return TokenWords(
        name=given.name,
        scopes=given.scopes,
        pages=given.pages,
        addresses=given.addresses,
        expires=given.expires,
    )
