"""Signing in: by password and second factor, by the OIDC provider, or as the first admin of all.

Whatever is wrong, the answer is the same sentence after the same work, so that nobody learns from it which
addresses have an account.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from app.db import sessions, tries, users
from app.db.change import Change, Changes
from app.db.users import Credentials
from app.domain.actor import Actor
from app.domain.events import Revoked
from app.domain.people import Role, Session, User
from app.domain.refused import Refused
from app.security import accounts, second_factor, tokens
from app.security.accounts import UserWords
from app.security.oidc import Claims
from app.security.passwords import BUSY, Busy, Passwords
from app.security.secrets import Secrets, Unreadable
from app.security.throttling import FREE_PER_ACCOUNT, FREE_PER_ADDRESS, wait_of
from app.security.visitor import Visitor, customer

log = structlog.get_logger("signin")

KNOWN_BROWSER_FOR: Final = 180 * 86400.0
WRONG: Final = "The address, the password or the code is wrong."
# For what is sealed: a seed in a form, and the mark of a browser.
_OFFERED: Final = "second factor offered to {}"
_BROWSER: Final = "known browser"
_PRESENT: Final = "The code of the present app is wrong: type the six digits that it shows now."


class NotSignedIn(Exception):
    """One sentence. If it may not be tried again at once, it may `after` seconds, which `{time}` in the
    sentence stands for."""

    def __init__(self, sentence: str, after: float = 0.0) -> None:
        super().__init__(sentence.replace("{time}", f"{after:.0f} s"))
        self.sentence = sentence
        self.after = after


class Proof(Struct, frozen=True):
    """What was typed, and the mark of a browser in which the owner has signed in before."""

    email: str
    password: str
    code: str = ""
    known_browser: str = ""


class Enrolment(Struct, frozen=True):
    """Of a second factor: its seed as it was offered, a code of it, and what proves that its owner asks."""

    sealed_seed: str
    code: str
    password: str = ""
    present_code: str = ""


class Opened(Struct, frozen=True):
    """A session, the secret for its cookie, and the mark for the browser's other one."""

    session: Session
    secret: str
    known_browser: str


class SignIn:
    def __init__(
        self, changes: Changes, secrets: Secrets, passwords: Passwords, now: Callable[[], datetime]
    ) -> None:
        self.passwords = passwords
        self.secrets = secrets
        self._changes = changes
        self._now = now

    async def by_password(self, proof: Proof, visitor: Visitor, browser: str) -> Opened:
        """Raises NotSignedIn."""
        account, address = self._keys(proof, visitor)
        await self._count(account, address)
        async with self._changes.database.reading() as transaction:
            credentials = await users.find_credentials(transaction, email=proof.email)
        step = await self._judge(proof, credentials)
        if credentials is None or step is None:
            log.info("a try to sign in has failed", address=visitor.address)
            raise NotSignedIn(WRONG)
        user = credentials.user
        async with self._changes.by(Actor("user", user.email, visitor.address), self._now()) as change:
            if step and not await users.use_step(change.transaction, user.id, step):
                raise NotSignedIn(WRONG)
            await tries.forget(change.transaction, account)
            await tries.take_back(change.transaction, address)
            return await self._open(change, user, visitor, browser)

    async def by_provider(
        self, claims: Claims, new_as: Role | None, visitor: Visitor, browser: str
    ) -> Opened:
        """Whoever the provider says it is. An account that is here already is theirs if they have proven
        there that its address is. `new_as` is what others become. Raises NotSignedIn."""
        async with self._changes.by(Actor("user", claims.email, visitor.address), self._now()) as change:
            user = await self._owner(change, claims, new_as)
            return await self._open(change, user, visitor, browser)

    async def set_up(self, token: str, given: UserWords, password: str, visitor: Visitor) -> Opened:
        """The first admin, by the token on the console. Of many at once, one. Raises Refused."""
        if not is_set_up_token(token, self.secrets):
            raise Refused("token", "This is not the token that stands on the console of the server.")
        accounts.refuse_bad_password(password)
        hash = await self._hash(password)
        async with self._changes.by(Actor("console", "set-up", visitor.address), self._now()) as change:
            if await users.count_users(change.transaction, Role.ADMIN):
                raise Refused("token", "This Statuswire is set up already; sign in.", "conflict")
            user = await accounts.add_user(change, replace(given, role=Role.ADMIN), hash)
            return await self._open(change, user, visitor, "")

    async def change_password(self, session: Session, old: str, new: str, visitor: Visitor) -> None:
        """And end all other sessions: whoever knew the old one is out. Raises Refused, or NotSignedIn."""
        user = session.user
        await self._count(f"account/{tokens.hash_of(user.email)}", f"address/{customer(visitor.address)}")
        async with self._changes.database.reading() as transaction:
            credentials = await users.find_credentials(transaction, id=user.id)
        if credentials is None:
            raise NotSignedIn(WRONG)
        if credentials.password is not None and not await self._is_right(old, credentials.password):
            raise Refused("old", "The present password is wrong.")
        accounts.refuse_bad_password(new, "new")
        hash = await self._hash(new)
        now = self._now()
        async with self._changes.by(Actor("user", user.email, visitor.address), now) as change:
            await tries.forget(change.transaction, f"account/{tokens.hash_of(user.email)}")
            await accounts.set_password(change, credentials.user, hash)
            for other in await sessions.sessions_of(change.transaction, user.id, now):
                if other.id != session.id:
                    await end_session(change, other)

    async def sign_out(self, session: Session, which: str, visitor: Visitor) -> None:
        """End this session, or another one of the same user."""
        async with self._changes.by(
            Actor("user", session.user.email, visitor.address), self._now()
        ) as change:
            own = await sessions.sessions_of(change.transaction, session.user.id, change.at)
            for each in own:
                if each.id == which:
                    await end_session(change, each)

    async def sessions_of(self, user: User) -> list[Session]:
        async with self._changes.database.reading() as transaction:
            return await sessions.sessions_of(transaction, user.id, self._now())

    def offer(self, user: User) -> tuple[str, str]:
        """A new seed, and the same sealed, for the form that brings it back."""
        seed = second_factor.new_seed()
        return seed, self.secrets.seal(seed, _OFFERED.format(user.id))

    async def enrol(self, session: Session, given: Enrolment, visitor: Visitor) -> None:
        """Ask for a second factor from now on, or for another one, once it is proven that there is one and
        that its owner asks: whoever has found a browser open has not. Raises Refused, or NotSignedIn."""
        user = session.user
        try:
            seed = self.secrets.open(given.sealed_seed, _OFFERED.format(user.id), younger_than=3600)
        except Unreadable:
            raise Refused("code", "This form is too old; begin again.") from None
        step = second_factor.step_of(seed, given.code, self._now())
        if step is None:
            raise Refused("code", "This code is wrong: type the six digits that the app shows now.")
        present = await self._prove_owner(user, given, visitor)
        async with self._changes.by(Actor("user", user.email, visitor.address), self._now()) as change:
            if present and not await users.use_step(change.transaction, user.id, present):
                raise Refused("present_code", _PRESENT)
            await tries.forget(change.transaction, f"account/{tokens.hash_of(user.email)}")
            await tries.take_back(change.transaction, f"address/{customer(visitor.address)}")
            await accounts.set_second_factor(
                change, user, self.secrets.seal(seed, second_factor.purpose(user.id))
            )
            await users.use_step(change.transaction, user.id, step)

    async def is_open_for_set_up(self) -> bool:
        """Until there is an admin, whoever else was added before; and never again, for one always stays."""
        async with self._changes.database.reading() as transaction:
            return not await users.count_users(transaction, Role.ADMIN)

    async def has_people(self) -> bool:
        async with self._changes.database.reading() as transaction:
            return bool(await users.count_users(transaction))

    # What is proven, and how often it may be tried

    async def _prove_owner(self, user: User, given: Enrolment, visitor: Visitor) -> int:
        """By the password; by a code of the present app, whose step is returned, for those who have none
        and sign in at the provider. Else 0. Raises Refused, or NotSignedIn."""
        await self._count(f"account/{tokens.hash_of(user.email)}", f"address/{customer(visitor.address)}")
        async with self._changes.database.reading() as transaction:
            credentials = await users.find_credentials(transaction, id=user.id)
        if credentials is None:
            raise NotSignedIn(WRONG)
        if credentials.password is not None:
            if not await self._is_right(given.password, credentials.password):
                raise Refused("password", "The password is wrong.")
            return 0
        if credentials.totp is None:
            return 0
        step = self._step(credentials.user, credentials.totp, given.present_code)
        if step is None:
            raise Refused("present_code", _PRESENT)
        return step

    def _keys(self, proof: Proof, visitor: Visitor) -> tuple[str, str]:
        """Under which a try is counted: the account's, or that of a browser which its owner has used, and
        the address's."""
        email = proof.email.strip().lower()
        account = f"account/{tokens.hash_of(email)}"
        try:
            owner = self.secrets.open(proof.known_browser, _BROWSER, younger_than=KNOWN_BROWSER_FOR)
            if owner == email:
                account = f"browser/{tokens.hash_of(proof.known_browser)}"
        except Unreadable:
            pass
        return account, f"address/{customer(visitor.address)}"

    async def _count(self, account: str, address: str) -> None:
        now = self._now()
        async with self._changes.database.writing() as transaction:
            wait = await tries.take(transaction, address, now, wait_of(FREE_PER_ADDRESS))
            wait = wait or await tries.take(transaction, account, now, wait_of(FREE_PER_ACCOUNT))
        if wait:
            raise NotSignedIn("Too many tries; come back in {time}.", max(1.0, wait))

    async def _judge(self, proof: Proof, credentials: Credentials | None) -> int | None:
        """The step of the code, or 0 where none is asked for; None if anything is wrong."""
        right = await self._is_right(proof.password, None if credentials is None else credentials.password)
        if credentials is None or not right:
            return None
        if credentials.totp is None:
            return 0
        return self._step(credentials.user, credentials.totp, proof.code)

    def _step(self, user: User, sealed: str, code: str) -> int | None:
        """In whose time the code of their app is right; None if it is not."""
        try:
            seed = self.secrets.open(sealed, second_factor.purpose(user.id))
        except Unreadable:
            log.error("a second factor cannot be read: it was sealed for somebody else, or by another key")
            return None
        return second_factor.step_of(seed, code, self._now())

    async def _is_right(self, password: str, hash: str | None) -> bool:
        try:
            return await self.passwords.is_right(password, hash)
        except Busy:
            raise NotSignedIn(BUSY, 3.0) from None

    async def _hash(self, password: str) -> str:
        try:
            return await self.passwords.hash(password)
        except Busy:
            raise NotSignedIn(BUSY, 3.0) from None

    async def _owner(self, change: Change, claims: Claims, new_as: Role | None) -> User:
        if (user := await users.find_by_provider(change.transaction, claims.provider)) is not None:
            return user
        if not claims.email_verified:
            raise NotSignedIn("Your provider does not say that your address for mail is yours.")
        credentials = await users.find_credentials(change.transaction, email=claims.email)
        if credentials is not None:
            user = credentials.user
            if user.provider:
                raise NotSignedIn("This address belongs to another account of your provider.")
        elif new_as is not None:
            words = UserWords(email=claims.email, name=claims.name or claims.email, role=new_as)
            user = await accounts.add_user(change, words)
        else:
            raise NotSignedIn("You have no account here; ask an admin to add you.")
        await users.write_proof(change.transaction, user.id, "provider", claims.provider)
        await change.note("user.provider", f"user/{user.id}", user, replace(user, provider=True))
        return user

    async def _open(self, change: Change, user: User, visitor: Visitor, browser: str) -> Opened:
        secret = tokens.some_letters(40)
        session = Session(
            id=tokens.some_letters(8),
            user=user,
            created=change.at,
            seen=change.at,
            address=visitor.address,
            browser=browser[:200],
        )
        await sessions.open_session(change.transaction, session, tokens.hash_of(secret))
        await change.note("session.open", f"user/{user.id}")
        return Opened(session, secret, self.secrets.seal(user.email, _BROWSER))


async def end_session(change: Change, session: Session) -> None:
    await sessions.close_session(change.transaction, session.user.id, session.id)
    await change.note("session.end", f"user/{session.user.id}")
    await change.tell(Revoked(at=change.at, owner=f"session/{session.id}"))


def set_up_token(secrets: Secrets) -> str:
    """The same on all servers with the same key, so that it is stored nowhere."""
    return secrets.derive("set-up")


def is_set_up_token(given: str, secrets: Secrets) -> bool:
    return tokens.is_hash_of(given.strip(), tokens.hash_of(set_up_token(secrets)))
