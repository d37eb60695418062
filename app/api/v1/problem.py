"""Whatever goes wrong is answered in one form, that of RFC 9457: a status, a title, and one sentence that
says what would be right. Where fields are to blame, each is named.
"""

import re
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Struct

from app.db.engine import DatabaseDown
from app.domain.refused import Refused

log = structlog.get_logger("api")

MEDIA_TYPE: Final = "application/problem+json"
_OF_REFUSAL: Final = {"invalid": 422, "missing": 404, "conflict": 409}


class FieldProblem(Struct, frozen=True):
    """`field` is the path of what was given, such as `components[0].status`; empty: the whole body."""

    field: str
    problem: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`errors` where fields are to blame, `id` where the log of the server says more."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    id: str = ""


class Answered(Exception):
    """A problem, raised by whoever knows its status."""

    def __init__(
        self, status: int, sentence: str, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.field, self.headers = status, sentence, field, headers


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """For the whole server: whatever is raised by any of its routes."""
    match error:
        case Answered():
            blamed = () if error.field is None else (FieldProblem(error.field, error.sentence),)
            return problem(error.status, error.sentence, blamed, error.headers)
        case Refused():
            return problem(_OF_REFUSAL[error.kind], str(error), (FieldProblem(error.field, str(error)),))
        case ValidationException():
            errors = _fields(error)
            return problem(400, errors[0].problem if errors else error.detail, errors)
        case HTTPException(status_code=500):
            return _our_own(request, error)
        case HTTPException():
            return problem(error.status_code, _sentence(error), (), error.headers)
        case RecursionError():
            # Of JSON that is all brackets; nothing here has more than a few within each other.
            return problem(400, "What was sent has too much within each other.")
        case DatabaseDown():
            return problem(503, f"The database {error.what}; try again.", (), {"retry-after": "5"})
        case _:
            return _our_own(request, error)


def problem(
    status: int,
    sentence: str,
    errors: tuple[FieldProblem, ...] = (),
    headers: dict[str, str] | None = None,
    id: str = "",
) -> Response[bytes]:
    said = Problem(title=HTTPStatus(status).phrase, status=status, detail=sentence, errors=errors, id=id)
    # As a header: a media type would be given a charset, which JSON has none of.
    given = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(said), status_code=status, headers=given)


def _our_own(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Nothing of it is told: it may hold whatever was being worked on."""
    id = token_hex(6)
    log.error("a request has failed", id=id, path=request.url.path, exc_info=error)
    return problem(500, f"Something went wrong here; the log of the server says more under {id}.", id=id)


def _sentence(error: HTTPException) -> str:
    said = str(error.detail)
    if error.status_code == 404 and said == HTTPStatus.NOT_FOUND.phrase:
        return "There is nothing at this address."
    return said if said.endswith(".") else f"{said}."


def _fields(error: ValidationException) -> tuple[FieldProblem, ...]:
    given = error.extra if isinstance(error.extra, list) else []
    return tuple(_field(each) for each in given if isinstance(each, dict))


def _field(given: dict[str, Any]) -> FieldProblem:
    said = str(given.get("message", "it is not as it should be"))
    key = str(given.get("key", ""))
    # msgspec names the place behind its sentence: "Expected `str`, got `int` - at `$.name`".
    sentence, _, place = said.partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    if unknown := re.search(r"unknown field `(.*)`", sentence):
        path = f"{path}.{unknown[1]}".lstrip(".")
    return FieldProblem(path or ("" if key == "data" else key), f"{sentence.strip()}.")
