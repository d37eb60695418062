"""All of /v1. A new resource is a file beside this one, and a line here."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from litestar import Request, Router
from litestar.handlers import HTTPRouteHandler

from app.api.v1 import document, verbs
from app.api.v1.audit import Audit
from app.api.v1.components import Acknowledgement, Components, Override
from app.api.v1.frame import Frame
from app.api.v1.groups import Groups
from app.api.v1.incidents import IncidentAcknowledgement, Incidents, Postmortem, Updates
from app.api.v1.maintenances import Maintenances, MaintenanceUpdates, Series
from app.api.v1.monitors import Monitors
from app.api.v1.pages import Pages
from app.api.v1.problem import Answered
from app.api.v1.resource import Resource
from app.api.v1.rules import Rules
from app.api.v1.runs import Runs
from app.api.v1.templates import Templates
from app.api.v1.tokens import Tokens
from app.api.v1.users import Users
from app.api.v1.walls import Walls
from app.db.change import Changes
from app.domain.monitor import Catalog
from app.feed import Feed
from app.model import Model
from app.security.secrets import Secrets

RESOURCES: Final[tuple[type[Resource[Any, Any]], ...]] = (
    *(Incidents, Updates, Postmortem, IncidentAcknowledgement),
    *(Maintenances, MaintenanceUpdates, Series, Templates),
    *(Audit, Tokens, Users, Walls),
)
OF_CATALOG: Final = (Groups, Components, Override, Acknowledgement, Monitors, Pages, Rules)
_JSON: Final = ("application/json", "application/merge-patch+json")


def routes(
    changes: Changes,
    secrets: Secrets,
    now: Callable[[], datetime],
    model: Model,
    catalog: Callable[[], Catalog],
    feed: Feed,
) -> list[Router | HTTPRouteHandler]:
    """`catalog` is the one that runs: what is on the pages that a caller is bound to."""
    frame = Frame(changes, secrets, now, catalog)
    resources = [
        *(resource() for resource in RESOURCES),
        *(resource(model) for resource in OF_CATALOG),
        Runs(model, feed),
    ]
    made = Router(
        "/v1",
        route_handlers=[route for resource in resources for route in verbs.routes(frame, resource)],
        before_request=_refuse_what_is_no_json,
    )
    return [made, document.route(lambda: document.describe(made, resources))]


async def _refuse_what_is_no_json(request: Request[Any, Any, Any]) -> None:
    """A form of another site could be sent as text/plain, and be read as JSON all the same."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method in ("POST", "PUT", "PATCH") and kind not in _JSON:
        raise Answered(415, "Send JSON, and say so: Content-Type: application/json.")
