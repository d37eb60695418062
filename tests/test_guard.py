"""A route that nobody thought about is closed: it keeps the server from starting."""

from typing import Any

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from app.security.guard import refuse_unscoped
from app.security.origin import is_from_elsewhere
from app.security.throttling import CALLERS_AT_MOST, Requests
from tests.people import House

pytest_plugins = ["tests.databases"]


def an_app(opt: dict[str, Any], guarded: bool) -> Litestar:
    async def guard(*_: object) -> None: ...

    @get("/thing", opt=opt, guards=[guard] if guarded else None)
    async def thing() -> None: ...

    return Litestar([thing], openapi_config=None, logging_config=None)


@pytest.mark.parametrize(
    ("opt", "guarded", "said"),
    [
        ({}, True, "it says None"),
        ({"scope": "anything"}, True, "it says 'anything'"),
        ({"scope": "walls:read"}, False, "nobody guards it"),
        ({"scope": "person"}, False, "nobody guards it"),
    ],
)
def test_a_route_without_a_scope_or_a_guard_keeps_the_server_from_starting(
    opt: dict[str, Any], guarded: bool, said: str
) -> None:
    with pytest.raises(RuntimeError, match=said):
        refuse_unscoped(an_app(opt, guarded))


@pytest.mark.parametrize(("scope", "guarded"), [("public", False), ("walls:read", True), ("admin", True)])
def test_a_route_with_both_is_served(scope: str, guarded: bool) -> None:
    refuse_unscoped(an_app({"scope": scope}, guarded))


async def test_the_guard_stands_before_every_route_but_the_streams(light: House) -> None:
    """Litestar copies a route for each guard that it asks, and these come by the thousand."""
    handlers = {
        (route.path, type(handler).__name__): len(handler.resolve_guards())
        for route in light.server.app.routes
        for handler in (route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler])
        if "scope" in handler.opt
    }
    assert {path for (path, _), guards in handlers.items() if not guards} == {"/events", "/ws"}
    assert set(handlers.values()) == {0, 1}


@pytest.mark.parametrize(
    ("origin", "elsewhere"),
    [
        (None, False),
        ("http://status.example", False),
        ("https://page.example:8443", False),
        ("http://page.example:8443", True),
        ("https://page.example", True),
        ("https://evil.example", True),
        ("http://status.example.evil.example", True),
        ("http://evil-status.example", True),
        ("http://status.example:81", True),
        ("null", True),
        ("", True),
        ("file://", True),
        ("http://[", True),
        ("http://status.example@evil.example", True),
    ],
)
def test_another_web_site_is_another_host_or_port(origin: str | None, elsewhere: bool) -> None:
    assert is_from_elsewhere(origin, "status.example", "https://page.example:8443/") is elsewhere


def test_who_asks_too_often_waits_and_nobody_else() -> None:
    requests = Requests(per_second=2.0, burst=3.0)
    assert [requests.take("a", 0.0) for _ in range(3)] == [0.0] * 3
    assert requests.take("a", 0.0) == 0.5
    assert requests.take("b", 0.0) == 0.0
    assert requests.take("a", 0.5) == 0.0
    assert requests.take("a", 100.0) == 0.0
    for n in range(CALLERS_AT_MOST + 5):
        requests.take(f"c{n}", 100.0)
    assert len(requests._buckets) == CALLERS_AT_MOST
