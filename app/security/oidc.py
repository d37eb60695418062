"""Signing in at a provider of OpenID Connect: authorization code with PKCE, and an ID token that is checked.

What belongs to one sign-in (state, nonce, verifier) waits in a sealed cookie of the browser that began it, so
that no other browser can finish it, and nothing is kept here of those that nobody finishes.
"""

import base64
import hmac
import time
from hashlib import sha256
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from app.config import Provider
from app.security.egress import Egress
from app.security.fetch import NotFetched, fetch
from app.security.secrets import Secrets, Unreadable

# joserfc is imported by who checks a signature: it takes 0.14 s, and most servers have no provider.
if TYPE_CHECKING:
    from joserfc.jwk import KeySet

SECONDS_TO_SIGN_IN: Final = 600.0
METADATA_FOR: Final = 3600.0
KEYS_EVERY: Final = 60.0  # at the most, however many tokens name a key that nobody knows
# No HMAC, whose key would be the public one of somebody who confuses them, and no "none".
ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_LEEWAY: Final = 30
_PURPOSE: Final = "sign-in at the provider"


class NotProven(Exception):
    """One sentence: why nobody is signed in by what the provider said."""


class Claims(Struct, frozen=True):
    """`provider` is issuer and subject, which together never become somebody else."""

    provider: str
    email: str
    email_verified: bool
    name: str


class _Metadata(Struct):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""


class _Tokens(Struct):
    id_token: str
    access_token: str = ""


class _Pending(Struct):
    state: str
    nonce: str
    verifier: str
    then: str


class OpenId:
    def __init__(self, provider: Provider, egress: Egress, secrets: Secrets) -> None:
        self._provider = provider
        self._egress = egress
        self._secrets = secrets
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def begin(self, redirect: str, then: str) -> tuple[str, str]:
        """Where to send the browser, and what to give it as a cookie. `then` is where it wants to be in the
        end. Raises NotProven."""
        metadata = await self._read_metadata()
        pending = _Pending(token_urlsafe(24), token_urlsafe(24), token_urlsafe(48), then)
        challenge = base64.urlsafe_b64encode(sha256(pending.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self._provider.client,
            "redirect_uri": redirect,
            "scope": "openid email profile",
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in metadata.authorization_endpoint else "?"
        url = f"{metadata.authorization_endpoint}{separator}{urlencode(asked)}"
        return url, self._secrets.seal(msgspec.json.encode(pending).decode(), _PURPOSE)

    async def finish(self, code: str, state: str, sealed: str, redirect: str) -> tuple[Claims, str]:
        """Who it is, and where they want to be. Raises NotProven."""
        try:
            opened = self._secrets.open(sealed, _PURPOSE, younger_than=SECONDS_TO_SIGN_IN)
            pending = msgspec.json.decode(opened, type=_Pending)
        except (Unreadable, msgspec.MsgspecError):
            raise NotProven("This sign-in took too long, or began in another browser; begin again.") from None
        if not hmac.compare_digest(state.encode(), pending.state.encode()):
            raise NotProven("This answer belongs to another sign-in; begin again.")
        metadata = await self._read_metadata()
        tokens = await self._redeem(metadata, code, pending.verifier, redirect)
        claims = await self._check(metadata, tokens.id_token, pending.nonce)
        if "email" not in claims and metadata.userinfo_endpoint:
            claims |= await self._ask_more(metadata, tokens, claims["sub"])
        return _claims(claims), pending.then

    async def _redeem(self, metadata: _Metadata, code: str, verifier: str, redirect: str) -> _Tokens:
        answer = await self._fetch(
            metadata.token_endpoint,
            form={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect,
                "client_id": self._provider.client,
                "client_secret": self._provider.secret,
                "code_verifier": verifier,
            },
        )
        found: _Tokens = _decoded(answer, _Tokens)
        return found

    async def _ask_more(self, metadata: _Metadata, tokens: _Tokens, subject: str) -> dict[str, Any]:
        """Some providers tell the address for mail only there."""
        bearer = {"Authorization": f"Bearer {tokens.access_token}"}
        more = _decoded(await self._fetch(metadata.userinfo_endpoint, headers=bearer), dict[str, Any])
        if more.get("sub") != subject:
            raise NotProven("The provider speaks of two people at once.")
        return {name: more[name] for name in ("email", "email_verified", "name") if name in more}

    async def _check(self, metadata: _Metadata, token: str, nonce: str) -> dict[str, Any]:
        claims = await self._verify(metadata, token)
        given = claims.get("aud")
        audience = given if isinstance(given, list) else [given]
        told = (
            claims.get("iss") == metadata.issuer,
            self._provider.client in audience,
            len(audience) == 1 or claims.get("azp") == self._provider.client,
            hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()),
            _is_number(claims.get("exp")) and claims["exp"] > time.time() - _LEEWAY,
            _is_number(claims.get("iat")) and claims["iat"] < time.time() + _LEEWAY,
            isinstance(claims.get("sub"), str) and bool(claims["sub"]),
        )
        if not all(told):
            raise NotProven("What the provider signed is not for this sign-in.")
        return claims

    async def _verify(self, metadata: _Metadata, token: str) -> dict[str, Any]:
        """The claims, if one of the provider's keys has signed them. One that we do not know may be new."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        for fresh in (False, True):
            keys = await self._read_keys(metadata, fresh)
            try:
                return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError):
                continue
        raise NotProven("The provider's signature is wrong.")

    async def _read_metadata(self) -> _Metadata:
        if self._metadata is None or time.monotonic() - self._metadata[0] > METADATA_FOR:
            answer = await self._fetch(f"{self._provider.issuer}/.well-known/openid-configuration")
            found = _decoded(answer, _Metadata)
            if found.issuer.rstrip("/") != self._provider.issuer:
                raise NotProven("The provider calls itself another name than STATUSWIRE_OIDC_ISSUER.")
            self._metadata = time.monotonic(), found
        return self._metadata[1]

    async def _read_keys(self, metadata: _Metadata, fresh: bool) -> "KeySet":
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        old = self._keys
        if old is None or (fresh and time.monotonic() - old[0] > KEYS_EVERY):
            answer = await self._fetch(metadata.jwks_uri)
            try:
                keys = KeySet.import_key_set(_decoded(answer, dict[str, Any]))
            except (JoseError, ValueError, KeyError):
                raise NotProven("The provider's keys cannot be read.") from None
            old = self._keys = time.monotonic(), keys
        return old[1]

    async def _fetch(
        self, url: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        try:
            answer = await fetch(self._egress, url, form=form, headers=headers)
        except NotFetched as error:
            raise NotProven(f"The provider does not answer as it should: {error}") from None
        if answer.status != 200:
            raise NotProven(f"The provider refuses: it answered {answer.status}.")
        return answer.body


def _claims(claims: dict[str, Any]) -> Claims:
    return Claims(
        provider=f"{claims['iss']} {claims['sub']}",
        email=str(claims.get("email", "")).strip().lower(),
        email_verified=claims.get("email_verified") is True,
        name=str(claims.get("name", ""))[:100],
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decoded(body: bytes, what: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=what)
    except msgspec.MsgspecError:
        raise NotProven("The provider's answer cannot be read.") from None
