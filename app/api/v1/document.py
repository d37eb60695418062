"""The description of the API at /v1/openapi.json, made by Litestar from the routes themselves.

It is made by an application that serves nobody: Litestar's own would put pages of other companies' scripts
beside it, and answer for every path under /v1 that there is not.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

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

_PARAMETERS: Final = {
    "id": "What it is called; an id with a slash in it as it is, or encoded.",
    "parent": "The id of what it belongs to.",
    "limit": "How many there are on a page of the list, at the most.",
    "cursor": "`next` of the page before.",
    "Idempotency-Key": "Sent again with the same key and body, this is one change.",
    "If-Match": "The ETag of what you have read: if it is another meanwhile, nothing is changed.",
}


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
    examples = {resource.given.__name__: resource.example for resource in resources if resource.example}
    for path in schema["paths"].values():
        for operation in path.values():
            _tell_headers(operation)
            _tell_parameters(operation)
            _give_example(operation, examples)
    return schema


def route(schema: Callable[[], dict[str, Any]]) -> HTTPRouteHandler:
    made: list[bytes] = []

    @get("/v1/openapi.json", opt={"scope": PUBLIC, "cors": True}, sync_to_thread=True)
    def openapi() -> Response[bytes]:
        if not made:
            made.append(msgspec.json.encode(schema()))
        return Response(made[0], headers={"content-type": "application/json"})

    return openapi


def _tell_parameters(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        parameter["description"] = _PARAMETERS[parameter["name"]]
        if parameter["in"] == "path":
            # Litestar has a format of its own for what may hold a slash.
            parameter["schema"] = {"type": "string", "minLength": 1}


def _give_example(operation: dict[str, Any], examples: dict[str, dict[str, Any]]) -> None:
    for body in operation.get("requestBody", {}).get("content", {}).values():
        if example := examples.get(body["schema"]["$ref"].rpartition("/")[2]):
            body["example"] = example


def _tell_headers(operation: dict[str, Any]) -> None:
    text = {"schema": {"type": "string"}}
    for status, answer in operation["responses"].items():
        if status in ("200", "201", "202"):
            answer["headers"] = {"ETag": text}
        if status == "429":
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    if "412" in operation["responses"]:
        name = {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}
        operation.setdefault("parameters", []).append(name)
