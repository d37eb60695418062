"""Tokens of programs and of walls in their tables, each with the hash of its secret."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from app.db.engine import Transaction
from app.db.tables import TokenRow, WallRow
from app.domain.instant import from_ms, to_ms
from app.domain.people import Token, Wall


async def list_tokens(transaction: Transaction, after: str, limit: int) -> list[Token]:
    query = TokenRow.select().where(TokenRow.id > after).order_by(TokenRow.id).limit(limit)
    return [_token(row) for row in await transaction.fetch(query)]


async def find_token(transaction: Transaction, id: str) -> tuple[Token, str] | None:
    """With the hash of its secret."""
    rows = await transaction.fetch(TokenRow.select().where(TokenRow.id == id))
    return (_token(rows[0]), rows[0]["hash"]) if rows else None


async def write_token(transaction: Transaction, token: Token, hash: str = "") -> None:
    """A new one, with the hash of its secret, or what is now said of one that there is."""
    await transaction.execute(
        "INSERT INTO tokens (id, hash, name, scopes, pages, addresses, created, expires, made_by)"
        " VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
        " scopes = excluded.scopes, pages = excluded.pages, addresses = excluded.addresses,"
        " expires = excluded.expires",
        token.id, hash, token.name, json.dumps(token.scopes), json.dumps(token.pages),
        json.dumps(token.addresses), to_ms(token.created), _ms(token.expires), token.made_by,
    )  # fmt: skip


async def use_token(transaction: Transaction, id: str, now: datetime) -> None:
    await transaction.execute("UPDATE tokens SET last_used = {} WHERE id = {}", to_ms(now), id)


async def remove_token(transaction: Transaction, id: str) -> None:
    await transaction.execute("DELETE FROM tokens WHERE id = {}", id)


async def list_walls(
    transaction: Transaction, after: str, limit: int, pages: Collection[str] | None = None
) -> list[Wall]:
    """Of these pages; None: of all."""
    query = WallRow.select().where(WallRow.id > after).order_by(WallRow.id).limit(limit)
    if pages is not None:
        query = query.where(WallRow.page.is_in(list(pages)))
    return [_wall(row) for row in await transaction.fetch(query)]


async def find_wall(transaction: Transaction, id: str) -> tuple[Wall, str] | None:
    """With the hash of its secret."""
    rows = await transaction.fetch(WallRow.select().where(WallRow.id == id))
    return (_wall(rows[0]), rows[0]["hash"]) if rows else None


async def write_wall(transaction: Transaction, wall: Wall, hash: str = "") -> None:
    await transaction.execute(
        "INSERT INTO walls (id, hash, name, page, created, made_by) VALUES ({}, {}, {}, {}, {}, {})"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, page = excluded.page",
        wall.id, hash, wall.name, wall.page, to_ms(wall.created), wall.made_by,
    )  # fmt: skip


async def see_wall(transaction: Transaction, id: str, now: datetime) -> None:
    await transaction.execute("UPDATE walls SET last_seen = {} WHERE id = {}", to_ms(now), id)


async def remove_wall(transaction: Transaction, id: str) -> None:
    await transaction.execute("DELETE FROM walls WHERE id = {}", id)


def _token(row: dict[str, Any]) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        scopes=tuple(json.loads(row["scopes"])),
        pages=tuple(json.loads(row["pages"])),
        addresses=tuple(json.loads(row["addresses"])),
        created=from_ms(row["created"]),
        expires=_at(row["expires"]),
        last_used=_at(row["last_used"]),
        made_by=row["made_by"],
    )


def _wall(row: dict[str, Any]) -> Wall:
    return Wall(
        id=row["id"],
        name=row["name"],
        page=row["page"],
        created=from_ms(row["created"]),
        last_seen=_at(row["last_seen"]),
        made_by=row["made_by"],
    )


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _at(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
