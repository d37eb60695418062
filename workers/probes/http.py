"""http: GET, follow redirects, hold the answer against what is expected.

`${NAME}` in headers and URL is filled from this worker's environment. What was filled in, and every header
value, stays out of results and logs.
"""

import logging
import re
from collections.abc import Mapping
from typing import Final

import httpx
from msgspec import Struct

from app.domain.monitor import Monitor
from workers.probes.equipment import Equipment, Probe
from workers.probes.expect import Expectation
from workers.probes.run import Failed, Run, Unfit
from workers.probes.transport import Answer, Transport

REDIRECTS_AT_MOST: Final = 5

_OUR_HEADERS: Final = {
    "User-Agent": "Statuswire (status monitor)",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "close",
}
_PORTS: Final = {"http": 80, "https": 443}
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Prepared(Struct, frozen=True):
    """What need not be made anew for each probe: building a request costs 40 us of some 200."""

    monitor: Monitor
    request: httpx.Request
    expectation: Expectation


class Http(Probe):
    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        # It would log each URL, with what was filled into it.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = _Client(
            transport=Transport(equipment.egress, equipment.certificates),
            headers=_OUR_HEADERS,
            trust_env=False,
        )
        self._prepared: dict[str, Prepared] = {}

    async def probe(self, monitor: Monitor, run: Run) -> None:
        prepared = self._prepare(monitor)
        expectation = prepared.expectation
        response = await self._ask(prepared.request, run, expectation)
        run.answered()
        expectation.check(response.status_code, response.headers)
        if expectation.needs_body:
            answer: Answer = response.extensions["answer"]
            encoding = response.headers.get("content-encoding", "")
            expectation.check_body(answer.body, encoding, answer.whole)

    def forget(self, key: str) -> None:
        self._prepared.pop(key, None)

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, request: httpx.Request, run: Run, expectation: Expectation) -> httpx.Response:
        for _ in range(REDIRECTS_AT_MOST + 1):
            request.extensions = {"run": run}
            try:
                # Not read by httpx, which would inflate a bomb of any size.
                response = await self._client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
                # Our transport raises none; it is what httpx and idna have to say of a Location.
                raise Failed("redirects", "It redirects to something that is no URL.") from None
            if response.next_request is None or expectation.is_met_by(response.status_code):
                return response
            request = _followed(request, response.next_request)
        raise Failed("redirects", f"It redirects more than {REDIRECTS_AT_MOST} times.")

    def _prepare(self, monitor: Monitor) -> Prepared:
        prepared = self._prepared.get(monitor.key)
        if prepared is None or prepared.monitor is not monitor:
            request = build_request(self._client, monitor, self.equipment.environ)
            prepared = Prepared(monitor, request, Expectation(monitor.expect))
            self._prepared[monitor.key] = prepared
        return prepared


class _NoCookies(httpx.Cookies):
    """Holds none. The client is shared, and what one target sets is no business of another's; only to find
    that there are no cookies would cost 25 us a probe."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _Client(httpx.AsyncClient):
    @property  # type: ignore[misc]
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES


_NO_COOKIES: Final = _NoCookies()


def build_request(client: httpx.AsyncClient, monitor: Monitor, environ: Mapping[str, str]) -> httpx.Request:
    """Raises Unfit where a monitor cannot be asked for as it stands."""
    headers = {name: fill(value, environ) for name, value in monitor.headers.items()}
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise Unfit(f"{name!r} cannot be the name of a header.")
        if not (value.isascii() and value.isprintable()):
            raise Unfit(f"The value for the header {name} has characters in it that no header may have.")
    url = fill(monitor.target, environ)
    # Neither is quoted below: there may be a password in it.
    try:
        request = client.build_request("GET", url, headers=headers)
    except (httpx.InvalidURL, UnicodeError):
        raise Unfit("The target is no URL.") from None
    if not _can_be_asked(request.url):
        raise Unfit("The target is no http:// or https:// URL.")
    return request


def fill(text: str, environ: Mapping[str, str]) -> str:
    def value_of(variable: re.Match[str]) -> str:
        name = variable[1]
        if name not in environ:
            raise Unfit(f"{name} is not set in this worker's environment.")
        return environ[name]

    return _VARIABLE.sub(value_of, text)


def _followed(before: httpx.Request, after: httpx.Request) -> httpx.Request:
    """The request that follows a redirect. Whatever else a monitor sends may be a secret, so another origin
    gets nothing of it."""
    if not _can_be_asked(after.url):
        raise Failed("redirects", "It redirects to something that is no http:// or https:// URL.")
    if not _same_party(before.url, after.url):
        after.headers = httpx.Headers({"Host": after.headers["Host"], **_OUR_HEADERS})
    return after


def _can_be_asked(url: httpx.URL) -> bool:
    return url.scheme in _PORTS and bool(url.host) and 1 <= (url.port or _PORTS[url.scheme]) <= 65535


def _same_party(before: httpx.URL, after: httpx.URL) -> bool:
    """The same origin, or the same host gone from http to https."""
    if before.host != after.host:
        return False
    ports = (before.port or _PORTS[before.scheme], after.port or _PORTS[after.scheme])
    if before.scheme == after.scheme:
        return ports[0] == ports[1]
    return before.scheme == "http" and ports == (80, 443)
