"""One kind of thing under /v1, and everything that all kinds have in common: the routes, who may use them,
the pages of a list, ETags, keys against doing something twice, and how all of it is described.

A resource says what it shows and what may be said of it, and has a method for each thing that can be done.
The verbs that it has no method for do not exist. All that a request changes is one transaction: what it is
compared with (If-Match), what is changed, and the answer that is kept (Idempotency-Key). Nothing but the
database is waited for in it.
"""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from operator import getitem
from typing import Annotated, Any, ClassVar, Final, Generic, TypeAlias, TypeVar, get_type_hints
from urllib.parse import quote

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter, JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from app.api.v1.problem import MEDIA_TYPE, Answered, Problem
from app.db import answers
from app.db.change import Change, Changes
from app.db.engine import Transaction
from app.domain.monitor import Catalog
from app.domain.pages import on_pages
from app.domain.plain import plain
from app.security.callers import Caller
from app.security.guard import caller_of
from app.security.secrets import Secrets, Unreadable

S = TypeVar("S", bound=Struct)  # what is shown
G = TypeVar("G", bound=Struct)  # what is given
A = TypeVar("A")

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


class Asked(Struct, frozen=True):
    """Who asks, and the id of what the thing belongs to, where it belongs to another. `sees` are the slugs of
    the components on the pages that the caller is bound to; None for who is bound to none."""

    caller: Caller
    parent: str = ""
    sees: frozenset[str] | None = None

    def sees_all(self, slugs: Iterable[str]) -> bool:
        """Who is bound to pages has to do with what is on them and nowhere else, and not with what is on
        none."""
        return self.sees is None or (bool(named := set(slugs)) and named <= self.sees)


class Resource(Generic[S, G]):
    """`given` is what POST and PUT take, `altered` what PUT takes if that is less, `shown` what is answered,
    and `issued` what POST answers if that is more. With a `parent` the path is /v1/<parent>/{parent}/<name>;
    `single`, if that has one of them at the most, which PUT makes as well. `example` is what POST may be
    sent."""

    name: ClassVar[str]
    words: ClassVar[str]  # what one of them is, in the description: "a token"
    shown: ClassVar[type[Struct]]
    given: ClassVar[type[Struct]]
    altered: ClassVar[type[Struct] | None] = None
    issued: ClassVar[type[Struct] | None] = None
    parent: ClassVar[str] = ""
    single: ClassVar[bool] = False
    has_slashes: ClassVar[bool] = False  # in its ids
    example: ClassVar[dict[str, Any] | None] = None
    # Whoever is bound to pages may come, and is asked for what the parent is.
    of_pages: ClassVar[bool] = False
    reads: ClassVar[str] = ""  # the scope; `<name>:read` unless said
    writes: ClassVar[str] = ""

    async def list(self, transaction: Transaction, asked: Asked, after: str, limit: int) -> Sequence[S]:
        """Those behind the one whose place is `after`, in an order that does not change."""
        raise NotImplementedError

    async def find(self, transaction: Transaction, asked: Asked, id: str) -> S | None:
        raise NotImplementedError

    async def make(self, change: Change, asked: Asked, given: G) -> Struct:
        raise NotImplementedError

    async def ask(self, asked: Asked, given: G) -> S:
        """What POST does for what is asked for and not kept. No transaction is open."""
        raise NotImplementedError

    async def alter(self, change: Change, asked: Asked, old: S, given: Any) -> S:
        raise NotImplementedError

    async def remove(self, change: Change, asked: Asked, old: S) -> None:
        raise NotImplementedError

    def id_of(self, item: S) -> str:
        return str(item.id)  # type: ignore[attr-defined]

    def place_of(self, item: S) -> str:
        """What `list` is given as `after`."""
        return self.id_of(item)

    def is_seen(self, asked: Asked, item: S) -> bool:
        """Whether who is bound to pages has to do with it. Where nothing says so, they are not let in."""
        return True

    def said_of(self, item: S) -> Any:
        """What PUT would say to leave it as it is: PATCH goes from there."""
        said = self.altered or self.given
        return said(**{name: getattr(item, name) for name in said.__struct_fields__})


class Frame:
    """What all resources stand on."""

    def __init__(
        self,
        changes: Changes,
        secrets: Secrets,
        now: Callable[[], datetime],
        catalog: Callable[[], Catalog],
    ) -> None:
        self.changes = changes
        self.secrets = secrets
        self.now = now
        self._catalog = catalog

    def routes(self, resource: Resource[Any, Any]) -> list[HTTPRouteHandler]:
        of_many = (("list", _list), ("make", _make), ("ask", _ask), ("alter", _put), ("alter", _patch))
        made = (("make", _put),) if resource.single else of_many
        return [
            build(self, resource)
            for method, build in (("find", _read), *made, ("remove", _remove))
            if getattr(type(resource), method) is not getattr(Resource, method)
        ]

    def asked(self, request: Request[Any, Any, Any]) -> Asked:
        caller = caller_of(request)
        sees = None
        if caller.pages is not None:
            pages = on_pages(self._catalog())
            sees = frozenset[str]().union(*(pages[slug].slugs for slug in caller.pages if slug in pages))
        return Asked(caller, str(request.path_params.get("parent", "")), sees)

    async def change(
        self, request: Request[Any, Any, Any], work: Callable[[Change, Asked], Awaitable[A]]
    ) -> A:
        asked = self.asked(request)
        async with self.changes.by(asked.caller.actor, self.now()) as change:
            return await work(change, asked)

    async def once(
        self, request: Request[Any, Any, Any], work: Callable[[Change, Asked], Awaitable[Response[bytes]]]
    ) -> Response[bytes]:
        """As change, and with the same Idempotency-Key once only."""
        if (marks := await _marks(request)) is None:
            return await self.change(request, work)
        key, about = marks

        async def work_once(change: Change, asked: Asked) -> Response[bytes]:
            kept = await answers.begin(change.transaction, key, about, change.at)
            if kept is not None:
                return self._again(key, kept, about)
            return await self._kept(change, key, await work(change, asked))

        return await self.change(request, work_once)

    async def ask_once(
        self, request: Request[Any, Any, Any], work: Callable[[Asked], Awaitable[Response[bytes]]]
    ) -> Response[bytes]:
        """As once, for what is no change: it is done before the transaction that keeps its answer, and twice
        if two say the same at once."""
        asked = self.asked(request)
        if (marks := await _marks(request)) is None:
            return await work(asked)
        key, about = marks
        async with self.changes.database.reading() as transaction:
            kept = await answers.find(transaction, key, self.now())
        if kept is not None:
            return self._again(key, kept, about)
        answer = await work(asked)

        async def keep(change: Change, _: Asked) -> Response[bytes]:
            is_new = await answers.begin(change.transaction, key, about, change.at) is None
            return await self._kept(change, key, answer) if is_new else answer

        return await self.change(request, keep)

    async def _kept(self, change: Change, key: str, answer: Response[bytes]) -> Response[bytes]:
        # It may show a token, which is nowhere else in the clear.
        text = msgspec.json.encode((answer.status_code, answer.headers, bytes(answer.content).decode()))
        await answers.keep(change.transaction, key, self.secrets.seal(text.decode(), f"answer {key}"))
        return answer

    def _again(self, key: str, kept: answers.Kept, about: str) -> Response[bytes]:
        if kept.asked != about:
            raise Answered(422, "This Idempotency-Key was sent with another request before; take a new one.")
        try:
            status, headers, text = msgspec.json.decode(self.secrets.open(kept.answer, f"answer {key}"))
        except Unreadable:
            raise Answered(409, "This was done before, and its answer cannot be read any more.") from None
        return Response(text.encode(), status_code=status, headers=headers)


# The routes. What Litestar must know of their bodies and answers differs from resource to resource, so it is
# put into the annotations when a route is made.


def _list(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(
        request: Request[Any, Any, Any],
        limit: Annotated[int, QueryParameter(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[bytes]:
        after = "" if cursor is None else _opened(cursor)
        async with frame.changes.database.reading() as transaction:
            # One more than asked for says whether there are more.
            items = await _some(resource, transaction, frame.asked(request), after, limit + 1)
        more = _cursor(resource.place_of(items[limit - 1])) if len(items) > limit else None
        return _tagged(request, plain({"items": items[:limit], "next": more}))

    shown = _list_of(resource.shown)
    return _route(get, resource, "", handle, reading=True, status=200, answer=shown, errors=(400, 404, 422))


def _read(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
        async with frame.changes.database.reading() as transaction:
            item = await _find(resource, transaction, frame.asked(request), _id(request))
        return _tagged(request, plain(item))

    return _route(
        get, resource, _one(resource), handle, reading=True, status=200, answer=resource.shown, errors=(404,)
    )


def _make(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any], data: Any, key: _Key = None) -> Response[bytes]:
        async def work(change: Change, asked: Asked) -> Response[bytes]:
            item = await resource.make(change, asked, data)
            _refuse_unseen(resource, asked, item)
            body = plain(item)
            headers = _json(body)
            headers["location"] = f"{request.url.path}/{quote(resource.id_of(item), safe='')}"
            return Response(_encode(body), status_code=201, headers=headers)

        return await frame.once(request, work)

    return _post(resource, handle, 201)


def _ask(frame: Frame, resource: Resource[Any, Any]) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any], data: Any, key: _Key = None) -> Response[bytes]:
        async def work(asked: Asked) -> Response[bytes]:
            body = plain(await resource.ask(asked, data))
            return Response(_encode(body), status_code=202, headers=_json(body))

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

    handle.__annotations__["data"] = _body(_partly(resource.altered or resource.given))
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


# What the routes are made of


def _one(resource: Resource[Any, Any]) -> str:
    if resource.single:
        return ""
    return "/{id:path}" if resource.has_slashes else "/{id:str}"


def _id(request: Request[Any, Any, Any]) -> str:
    """Litestar puts a slash before what may hold some."""
    return str(request.path_params.get("id", "")).removeprefix("/")


async def _marks(request: Request[Any, Any, Any]) -> tuple[str, str] | None:
    """What a request with an Idempotency-Key is known by, and what it asks for, both hashed."""
    if (given := request.headers.get("idempotency-key")) is None:
        return None
    key = f"{caller_of(request).key} {given}".encode()
    about = f"{request.method} {request.url.path}\n".encode() + await request.body()
    return hashlib.sha256(key).hexdigest(), hashlib.sha256(about).hexdigest()


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
        return Response(_encode(body), headers=_json(body))

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


def _tagged(request: Request[Any, Any, Any], body: Any) -> Response[bytes]:
    headers = _json(body)
    known = request.headers.get("if-none-match", "")
    if headers["etag"] in (each.strip().removeprefix("W/") for each in known.split(",")):
        return Response(b"", status_code=304, headers={"etag": headers["etag"]})
    return Response(_encode(body), headers=headers)


def _json(body: Any) -> dict[str, str]:
    # Whoever may read it may not leave it lying about.
    return {"content-type": "application/json", "etag": tag(body), "cache-control": "no-store"}


def tag(body: Any) -> str:
    return f'"{hashlib.sha256(_encode(body)).hexdigest()[:20]}"'


_encode = msgspec.json.Encoder().encode


def _cursor(id: str) -> str:
    return base64.urlsafe_b64encode(id.encode()).decode().rstrip("=")


def _opened(cursor: str) -> str:
    try:
        opened = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if not opened.isprintable():
            raise ValueError
        return opened
    except (ValueError, UnicodeError):
        raise Answered(
            422, "This `cursor` is none of ours; take it from `next`, as it is.", "cursor"
        ) from None


def structs_of(resource: Resource[Any, Any]) -> list[type[Struct]]:
    """All that the description of its routes must tell of."""
    found: list[type[Struct]] = [resource.shown, Problem]
    if not resource.single:
        found.append(_list_of(resource.shown))
    if resource.issued is not None:
        found.append(resource.issued)
    if hasattr(resource, "given"):
        found.append(resource.given)
        if not resource.single:
            found += [resource.altered or resource.given, _partly(resource.altered or resource.given)]
    return found


@cache
def _list_of(shown: type[Struct]) -> type[Struct]:
    items = getitem(list, shown)  # type: ignore[call-overload]
    words = {"__doc__": "One page of a list. `next` is the `cursor` of the next one, null after the last."}
    fields: list[Any] = [("items", items), ("next", str | None, None)]
    return msgspec.defstruct(f"{shown.__name__}List", fields, namespace=words)


def _body(given: type[Struct]) -> Any:
    # In this form, because mypy takes the other for a type of its own.
    return getitem(JSONBody, given)


@cache
def _partly(given: type[Struct]) -> type[Struct]:
    """The same, of which any part may be left out."""
    types = get_type_hints(given, include_extras=True)
    fields = [(name, types[name] | UnsetType, UNSET) for name in given.__struct_fields__]
    return msgspec.defstruct(
        f"{given.__name__}Patch",
        fields,
        forbid_unknown_fields=True,
        kw_only=True,
        namespace={"__doc__": f"Any part of {given.__name__}; what is left out stays."},
    )
