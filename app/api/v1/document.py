"""The description of the API at /v1/openapi.json, made by Litestar from the routes themselves.

It is made by an application that serves nobody: Litestar's own would put pages of other companies' scripts
beside it, and answer for every path under /v1 that there is not.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from app.api.v1.resource import Resource, structs_of
from app.security.scopes import PUBLIC

_TEXT = (
    "Everything that the pages for operators can do. Times are RFC 3339 in UTC. Errors are RFC 9457. A list "
    "answers `next`, which is the `cursor` of the next page. `ETag` and `If-Match` keep two from overwriting "
    "each other; an `Idempotency-Key` makes a POST that is sent again one change, for 24 hours."
)


def describe(routes: Router, resources: Sequence[Resource[Any, Any]]) -> dict[str, Any]:
    config = OpenAPIConfig(
        title="Statuswire",
        version="1",
        description=_TEXT,
        components=Components(
            security_schemes={"token": SecurityScheme(type="http", scheme="bearer", bearer_format="sw_...")}
        ),
        security=[{"token": []}],
    )
    described = Litestar([routes], openapi_config=config, logging_config=None)
    schema: dict[str, Any] = described.openapi_schema.to_schema()
    # Litestar loses what is said of the items of a list, and that unknown fields are refused.
    types = {kind for resource in resources for kind in structs_of(resource)}
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema["components"]["schemas"] |= components
    for path in schema["paths"].values():
        for operation in path.values():
            _tell_headers(operation)
    return schema


def route(schema: Callable[[], dict[str, Any]]) -> HTTPRouteHandler:
    made: list[bytes] = []

    @get("/v1/openapi.json", opt={"scope": PUBLIC, "cors": True}, sync_to_thread=True)
    def openapi() -> Response[bytes]:
        if not made:
            made.append(msgspec.json.encode(schema()))
        return Response(made[0], headers={"content-type": "application/json"})

    return openapi


def _tell_headers(operation: dict[str, Any]) -> None:
    text = {"schema": {"type": "string"}}
    for status, answer in operation["responses"].items():
        if status in ("200", "201"):
            answer["headers"] = {"ETag": text}
        if status == "429":
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    if "412" in operation["responses"]:
        name = {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}
        operation.setdefault("parameters", []).append(name)
