"""All of /admin."""

from collections.abc import Callable

from litestar.handlers import HTTPRouteHandler

from app.feed import Feed
from app.pages.admin import access, components, front, incidents, maintenances, pages, rules, templates
from app.pages.admin.desk import Desk
from app.security.passwords import Passwords


def routes(
    desk: Desk, feed: Feed, passwords: Passwords, problem: Callable[[], str | None]
) -> list[HTTPRouteHandler]:
    """`problem` is what is wrong with the file on disk, if anything is."""
    return [
        *front.routes(desk, problem),
        *incidents.routes(desk),
        *maintenances.routes(desk),
        *rules.routes(desk),
        *components.routes(desk, feed),
        *pages.routes(desk),
        *templates.routes(desk),
        *access.routes(desk, passwords),
    ]
