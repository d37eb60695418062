"""The routes of a resource, one for each verb that it has a method for: who may use them, how they find what
is asked for, and how they are described.

What Litestar must know of their bodies and answers differs from resource to resource, so it is put into the
annotations when a route is made.
"""

from collections.abc import Callable
from operator import getitem
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import quote

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter, JSONBody, QueryParameter
from msgspec import UNSET, Struct

from app.api.v1.frame import Frame
from app.api.v1.problem import MEDIA_TYPE, Answered, Problem
from app.api.v1.resource import Asked, Resource, list_of, partly
from app.api.v1.wire import cursor_at, encode, headers_of, place_at, tag, tagged
from app.db.change import Change
from app.db.engine import Transaction
from app.domain.plain import plain

LARGEST_PAGE: Final = 200
_KEY: Final = r"^[\x21-\x7e]{1,200}$"
_Key: TypeAlias = Annotated[str | None, HeaderParameter(name="Idempotency-Key", pattern=_KEY)]
_ERRORS: Final = {
    400: "What was sent cannot be read",
    401: "Nobody is signed in, and no token that is known was sent",
    403: "This takes a scope that the caller does not hold",
    404: "There is no such thing",
    409: "It is not in a state for this",
    412: "It is not any more what If-Match says",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "What was sent cannot be accepted",
    429: "Too many requests; Retry-After says when to come back",
    500: "Something went wrong in the server",
    503: "The database does not answer",
}


def routes(frame: Frame, resource: Resource[Any, Any]) -> list[HTTPRouteHandler]:
    of_many = (("list", _list), ("make", _make), ("ask", _ask), ("alter", _put), ("alter", _patch))
    made = (("make", _put),) if resource.single else of_many
    return [
        build(frame, resource)
        for method, build in (("find", _read), *made, ("remove", _remove))
        if getattr(type(resource), method) is not getattr(Resource, method)
    ]


def _list(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(
        request: Request[Any, Any, Any],
        limit: Annotated[int, QueryParameter(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        after = "" if cursor is None else place_at(cursor)
        async with frame.changes.database.reading() as transaction:
            # One more than asked for says whether there are more.
            items = await _some(resource, transaction, frame.asked(request), after, limit + 1)
        more = cursor_at(resource.place_of(items[limit - 1])) if len(items) > limit else None
        return tagged(request, plain({"items": items[:limit], "next": more}))

    shown = list_of(resource.shown)
    return _route(get, resource, "", handle, reading=True, status=200, answer=shown, errors=(400, 404, 422))


def _read(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
        async with frame.changes.database.reading() as transaction:
            item = await _find(resource, transaction, frame.asked(request), _id(request))
        return tagged(request, plain(item))

    return _route(
        get, resource, _one(resource), handle, reading=True, status=200, answer=resource.shown, errors=(404,)
    )


def _make(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any], data: Any, key: _Key = None) -> Response[bytes]:
        async def work(change: Change, asked: Asked) -> Response[bytes]:
            item = await resource.make(change, asked, data)
            _refuse_unseen(resource, asked, item)
            body = plain(item)
            headers = headers_of(body)
            headers["location"] = f"{request.url.path}/{quote(resource.id_of(item), safe='')}"
            return Response(encode(body), status_code=201, headers=headers)

        return await frame.once(request, work)

    return _post(resource, handle, 201)


def _ask(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any], data: Any, key: _Key = None) -> Response[bytes]:
        async def work(asked: Asked) -> Response[bytes]:
            body = plain(await resource.ask(asked, data))
            return Response(encode(body), status_code=202, headers=headers_of(body))

        return await frame.ask_once(request, work)

    return _post(resource, handle, 202)


def _post(resource: Resource[Any, Any], handle: Any, status: int) -> HTTPRouteHandler:
    handle.__annotations__["data"] = _body(resource.given)
    answer = resource.issued or resource.shown
    return _route(
        post, resource, "", handle, reading=False, status=status, answer=answer, errors=(400, 404, 409, 422)
    )


def _put(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any], data: Any) -> Response[bytes]:
        return await _alter(frame, resource, request, lambda _: data)

    handle.__annotations__["data"] = _body(resource.altered or resource.given)
    errors = (400, 404, 409, 412, 422)
    return _route(
        put, resource, _one(resource), handle, reading=False, status=200, answer=resource.shown, errors=errors
    )


def _patch(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any], data: Any) -> Response[bytes]:
        said = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}
        return await _alter(
            frame, resource, request, lambda old: msgspec.structs.replace(resource.said_of(old), **said)
        )

    handle.__annotations__["data"] = _body(partly(resource.altered or resource.given))
    errors = (400, 404, 409, 412, 422)
    return _route(
        patch,
        resource,
        _one(resource),
        handle,
        reading=False,
        status=200,
        answer=resource.shown,
        errors=errors,
    )


def _remove(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> None:
        async def work(change: Change, asked: Asked) -> None:
            old = await _find(resource, change.transaction, asked, _id(request))
            _refuse_another(request, old)
            await resource.remove(change, asked, old)

        await frame.change(request, work)

    return _route(
        delete,
        resource,
        _one(resource),
        handle,
        reading=False,
        status=204,
        answer=None,
        errors=(404, 409, 412),
    )


def _route(
    verb: Any,
    resource: Resource[Any, Any],
    path: str,
    handle: Any,
    *,
    reading: bool,
    status: int,
    answer: type[Struct] | None,
    errors: tuple[int, ...],
) -> HTTPRouteHandler:
    """`verb` is one of Litestar's."""
    base = f"/{resource.parent}/{{parent:str}}" if resource.parent else ""
    if reading:
        scope = resource.reads or f"{resource.name}:read"
    else:
        scope = resource.writes or f"{resource.name}:write"
    takes_body = verb in (post, put, patch)
    always = (401, 403, 429, 500, 503, *((413, 415) if takes_body else ()))
    bodies = {number: _problem_of(number) for number in sorted({*errors, *always})}
    described = f"This is {resource.words}" if answer else "Done"
    done = ResponseSpec(answer, description=described, generate_examples=False)
    doing = {
        get: "list" if not (path or resource.single) else "read",
        post: "make",
        put: "replace",
        patch: "change",
    }
    does = doing.get(verb, "remove")
    return verb(  # type: ignore[no-any-return]
        f"{base}/{resource.name}{path}",
        opt={"scope": scope, "of_pages": _is_of_pages(resource)},
        status_code=status,
        tags=[resource.name],
        operation_id=".".join(filter(None, (resource.parent, resource.name, does))),
        summary=f"{does.capitalize()} {resource.name if does == 'list' else resource.words}",
        description=f"Takes the scope `{scope}`.",
        responses={status: done, **bodies},
    )(handle)


def _is_of_pages(resource: Resource[Any, Any]) -> bool:
    return resource.of_pages or type(resource).is_seen is not Resource.is_seen


def _problem_of(status: int) -> ResponseSpec:
    return ResponseSpec(Problem, description=_ERRORS[status], media_type=MEDIA_TYPE, generate_examples=False)


def _one(resource: Resource[Any, Any]) -> str:
    if resource.single:
        return ""
    return "/{id:path}" if resource.has_slashes else "/{id:str}"


def _id(request: Request[Any, Any, Any]) -> str:
    """Litestar puts a slash before what may hold some."""
    return str(request.path_params.get("id", "")).removeprefix("/")


async def _some(
    resource: Resource[Any, Any], transaction: Transaction, asked: Asked, after: str, limit: int
) -> list[Any]:
    """Of those that the caller may see."""
    found: list[Any] = []
    while len(found) < limit:
        items = await resource.list(transaction, asked, after, limit)
        found += (item for item in items if resource.is_seen(asked, item))
        if len(items) < limit:
            break
        after = resource.place_of(items[-1])
    return found[:limit]


async def _find(resource: Resource[Any, Any], transaction: Transaction, asked: Asked, id: str) -> Any:
    item = await resource.find(transaction, asked, id)
    if item is None and resource.single:
        raise Answered(404, f"It has no {resource.name}.")
    if item is None or not resource.is_seen(asked, item):
        raise Answered(404, f"There is no such thing among the {resource.name}.")
    return item


async def _alter(
    frame: Frame,
    resource: Resource[Any, Any],
    request: Request[Any, Any, Any],
    said: Callable[[Any], Any],
) -> Response[bytes]:
    async def work(change: Change, asked: Asked) -> Response[bytes]:
        if resource.single and await resource.find(change.transaction, asked, "") is None:
            if "if-match" in request.headers:
                raise Answered(412, "There is none, so it is not what If-Match says.")
            new = await resource.make(change, asked, said(None))
        else:
            old = await _find(resource, change.transaction, asked, _id(request))
            _refuse_another(request, old)
            given = said(old)
            new = old if given == resource.said_of(old) else await resource.alter(change, asked, old, given)
        _refuse_unseen(resource, asked, new)
        body = plain(new)
        return Response(encode(body), headers=headers_of(body))

    return await frame.change(request, work)


def _refuse_unseen(resource: Resource[Any, Any], asked: Asked, item: Any) -> None:
    """All that was changed until now is taken back."""
    if not resource.is_seen(asked, item):
        raise Answered(403, "This token is for some pages: name components, and only such as are on them.")


def _refuse_another(request: Request[Any, Any, Any], old: Struct) -> None:
    """If-Match, compared strongly (RFC 9110, 13.1.1)."""
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip() != "*":
        if tag(plain(old)) not in (each.strip() for each in wanted.split(",")):
            raise Answered(412, "It has been changed since you read it; read it again.")


def _body(given: type[Struct]) -> Any:
    # In this form, because mypy takes the other for a type of its own.
    return getitem(JSONBody, given)
