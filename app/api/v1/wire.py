"""How things leave /v1: as JSON with a tag that says whether they are still the same, and lists in pages,
each with the place at which the next begins.
"""

import base64
import hashlib
from typing import Any

import msgspec
from litestar import Request, Response

from app.api.v1.problem import Answered

encode = msgspec.json.Encoder().encode


def tagged(request: Request[Any, Any, Any], body: Any) -> Response[bytes]:
    headers = headers_of(body)
    known = request.headers.get("if-none-match", "")
    if headers["etag"] in (each.strip().removeprefix("W/") for each in known.split(",")):
        return Response(b"", status_code=304, headers={"etag": headers["etag"]})
    return Response(encode(body), headers=headers)


def headers_of(body: Any) -> dict[str, str]:
    # Whoever may read it may not leave it lying about.
    return {"content-type": "application/json", "etag": tag(body), "cache-control": "no-store"}


def tag(body: Any) -> str:
    return f'"{hashlib.sha256(encode(body)).hexdigest()[:20]}"'


def cursor_at(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place_at(cursor: str) -> str:
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if not place.isprintable():
            raise ValueError
        return place
    except (ValueError, UnicodeError):
        raise Answered(
            422, "This `cursor` is none of ours; take it from `next`, as it is.", "cursor"
        ) from None
