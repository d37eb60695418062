"""http: ask, follow redirects, hold the answer against what is expected.

`${NAME}` in headers and URL is filled from this worker's environment. What was filled in, and every header
value, stays out of results and logs.
"""

import logging
import re
from base64 import b64encode
from typing import Final

import httpx
from msgspec import Struct, structs

from app.domain.kinds.http import Basic, OAuth2
from app.domain.kinds.http import Http as Words
from app.domain.monitor import Monitor
from workers.probes.answer import Answer, Asked
from workers.probes.equipment import Equipment, Probe, check_header, words_of
from workers.probes.expect import Expectation
from workers.probes.oauth2 import Tokens
from workers.probes.run import Failed, Run, Secrets, Unfit
from workers.probes.transport import Transport, Way

_OUR_HEADERS: Final = {
    "User-Agent": "Statuswire (status monitor)",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "close",
}
_PORTS: Final = {"http": 80, "https": 443}
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Prepared(Struct, frozen=True, gc=False):
    """What need not be made anew for each probe. httpx's own Request is not kept: it is needed only where a
    redirect leads on, and is larger than all the rest."""

    monitor: Monitor
    asked: Asked
    expectation: Expectation
    way: Way
    secrets: Secrets

    @property
    def oauth2(self) -> OAuth2 | None:
        auth = self.way.words.auth
        return auth.oauth2 if auth is not None else None


class Http(Probe, kind="http"):
    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        # It would log each URL, with what was filled into it.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._transport = Transport(equipment.egress, equipment.certificates)
        self._tokens = Tokens(equipment, self._transport)
        # It builds requests and follows redirects, and asks nobody itself.
        self._client = httpx.AsyncClient(transport=_Had(), headers=_OUR_HEADERS, trust_env=False)
        self._prepared: dict[str, Prepared] = {}

    async def probe(self, monitor: Monitor, run: Run) -> None:
        prepared = self._prepare(monitor, run)
        asked, expectation, request = prepared.asked, prepared.expectation, None
        if prepared.oauth2 is not None:
            request = self._request(monitor, prepared.way.words, run)
            token = await self._tokens.token(prepared.oauth2, prepared.way, run)
            request.headers["Authorization"] = f"Bearer {token}"
            asked = Asked.of(request)
        answer = await self._ask(asked, request, prepared, run)
        run.answered()
        if answer.status == 401 and prepared.oauth2 is not None:
            self._tokens.drop(prepared.oauth2)
        expectation.check_status(answer.status)
        if expectation.needs_header:
            expectation.check_header(answer.header)
        if expectation.needs_body:
            expectation.check_body(answer.body, answer.encoding, answer.whole)

    def forget(self, key: str) -> None:
        self._prepared.pop(key, None)

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, asked: Asked, request: httpx.Request | None, prepared: Prepared, run: Run) -> Answer:
        way = prepared.way
        for _ in range(way.words.redirects + 1):
            answer = await self._transport.ask(asked, run, way)
            is_the_one = way.words.redirects == 0 or prepared.expectation.is_met_by(answer.status)
            if is_the_one or not answer.leads_on:
                return answer
            request = request or self._request(prepared.monitor, way.words, run)
            following = await self._following(request, answer)
            if not _same_party(request.url, following.url):
                way = structs.replace(way, words=_without_certificate(way.words))
            request = _followed(request, following)
            asked = Asked.of(request)
        raise Failed("redirects", f"It redirects more than {_times(way.words.redirects)}.")

    async def _following(self, request: httpx.Request, answer: Answer) -> httpx.Request:
        request.extensions = {"answer": answer}
        try:
            # Not read by httpx, which would inflate a bomb of any size.
            response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            # Our transport raises none; it is what httpx and idna have to say of a Location.
            raise Failed("redirects", "It redirects to something that is no URL.") from None
        assert response.next_request is not None
        return response.next_request

    def _prepare(self, monitor: Monitor, run: Run) -> Prepared:
        prepared = self._prepared.get(monitor.key)
        if prepared is None or prepared.monitor is not monitor:
            words = words_of(Words, monitor)
            expectation = Expectation(monitor.expect, words.size)
            prepared = Prepared(
                monitor,
                Asked.of(self._request(monitor, words, run)),
                expectation,
                Way(
                    words, self._proxy(words, run), self._basic(words.proxy_auth, run), expectation.needs_body
                ),
                run.secrets,
            )
            self._prepared[monitor.key] = prepared
        # A copy: a run adds to them.
        run.secrets = Secrets(prepared.secrets)
        return prepared

    def _request(self, monitor: Monitor, words: Words, run: Run) -> httpx.Request:
        """Raises Unfit where a monitor cannot be asked for as it stands."""
        headers = {name: self.equipment.fill(value, run) for name, value in words.headers.items()}
        headers |= self._authorization(words, run)
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise Unfit(f"{name!r} cannot be the name of a header.")
            check_header(name, value)
        content = self.equipment.fill(words.send, run).encode() or None
        url = self.equipment.fill(monitor.target, run)
        # Neither is quoted below: there may be a password in it.
        try:
            request = self._client.build_request(words.method, url, headers=headers, content=content)
        except (httpx.InvalidURL, UnicodeError):
            raise Unfit("The target is no URL.") from None
        if not _can_be_asked(request.url):
            raise Unfit("The target is no http:// or https:// URL.")
        return _introduced(request)

    def _authorization(self, words: Words, run: Run) -> dict[str, str]:
        auth, fill = words.auth, self.equipment.fill
        if auth is None or auth.oauth2 is not None:
            return {}
        if auth.basic is None:
            return {"Authorization": f"Bearer {fill(auth.bearer, run)}"}
        return {"Authorization": self._basic(auth.basic, run)}

    def _basic(self, who: Basic | None, run: Run) -> str:
        """Empty for nobody."""
        if who is None:
            return ""
        pair = f"{self.equipment.fill(who.user, run)}:{self.equipment.fill(who.password, run)}"
        encoded = b64encode(pair.encode()).decode()
        run.secrets.append(encoded)
        return f"Basic {encoded}"

    def _proxy(self, words: Words, run: Run) -> httpx.URL | None:
        if not words.proxy:
            return None
        try:
            proxy = httpx.URL(self.equipment.fill(words.proxy, run))
        except (httpx.InvalidURL, UnicodeError):
            raise Unfit("The proxy is no URL.") from None
        if proxy.scheme != "http" or not _can_be_asked(proxy):
            raise Unfit("The proxy is no http:// URL.")
        return proxy


class _Had(httpx.AsyncBaseTransport):
    """The answer that we already have, and nothing of it that the client could keep: it is shared, and what
    cookies one target sets is no business of another's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer: Answer = request.extensions["answer"]
        places = [header for header in answer.headers if header[0].lower() == b"location"]
        return httpx.Response(answer.status, headers=places)


def _introduced(request: httpx.Request) -> httpx.Request:
    """With the name and password that may stand in its URL."""
    if request.url.userinfo:
        auth = httpx.BasicAuth(request.url.username, request.url.password)
        request = next(auth.auth_flow(request))
    return request


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _without_certificate(words: Words) -> Words:
    """Who we are is no business of another origin's."""
    return structs.replace(words, certificate="", certificate_key="") if words.certificate else words


def _followed(before: httpx.Request, after: httpx.Request) -> httpx.Request:
    """The request that follows a redirect. Whatever else a monitor sends may be a secret, so another origin
    gets nothing of it."""
    if not _can_be_asked(after.url):
        raise Failed("redirects", "It redirects to something that is no http:// or https:// URL.")
    if not _same_party(before.url, after.url):
        if after.read():
            raise Failed("redirects", "It redirects what is sent to another origin, which is not told it.")
        after.headers = httpx.Headers({"Host": after.headers["Host"], **_OUR_HEADERS})
    return _introduced(after)


def _can_be_asked(url: httpx.URL) -> bool:
    return url.scheme in _PORTS and bool(url.host) and 1 <= (url.port or _PORTS[url.scheme]) <= 65535


def _same_party(before: httpx.URL, after: httpx.URL) -> bool:
    """The same origin, or the same host gone from http to https."""
    if before.host != after.host or not _can_be_asked(after):
        return False
    ports = (before.port or _PORTS[before.scheme], after.port or _PORTS[after.scheme])
    if before.scheme == after.scheme:
        return ports[0] == ports[1]
    return before.scheme == "http" and ports == (80, 443)
