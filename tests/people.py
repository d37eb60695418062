"""A whole server in this process, without its jobs: real routes, a real database, and people in it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from argon2 import PasswordHasher

from app.config import Config
from app.db.change import Change
from app.db.engine import Database
from app.domain.actor import Actor
from app.domain.people import Role, User
from app.live.hub import Hub
from app.main import Server
from app.security import accounts, issuing
from app.security.accounts import UserWords
from app.security.issuing import TokenWords

CONSOLE = Actor("console", "test")
PASSWORD = "correct horse battery"
# Ours takes 30 ms of a core on purpose, and as much again for each who signs in. What is asked of it is asked
# where people set their own.
CHEAP = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
HOME = "http://status.example"


class House:
    """`ask` is a client without a token; `address` is where it comes from."""

    def __init__(self, database: Database, data: Path, hub: Hub | None = None, **environ: str) -> None:
        config = Config.read({"REDIS_URL": "redis://127.0.0.1:1", "STATUSWIRE_DATA": str(data), **environ})
        self.server = Server(config, database, hub)

    def client(self, token: str = "", address: str = "192.0.2.7", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.server.app, client=(address, 40000))
        given = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=transport, base_url=HOME, headers={**given, **headers})

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        async with self.server.changes.by(CONSOLE, self.server.hub.now()) as change:
            yield change

    async def token(self, *scopes: str, **other: Any) -> str:
        async with self.change() as change:
            return (await issuing.issue_token(change, TokenWords(name="test", scopes=scopes, **other)))[1]

    async def user(self, role: Role, email: str = "mei@example.org", password: str = PASSWORD) -> User:
        words = UserWords(email=email, name="Mei", role=role)
        async with self.change() as change:
            return await accounts.add_user(change, words, CHEAP.hash(password))

    async def sign_in(self, client: httpx.AsyncClient, email: str = "mei@example.org") -> None:
        typed = {"email": email, "password": PASSWORD}
        answer = await client.post("/login", data=typed, headers={"origin": HOME})
        assert answer.status_code == 303, answer.text

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """By a real server on a port of its own; the URL."""
        settings = uvicorn.Config(self.server.app, port=0, lifespan="off", log_config=None, ws="none")
        server = uvicorn.Server(settings)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            serving = asyncio.create_task(server.serve([listening]))
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                await serving
