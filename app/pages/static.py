"""The files of app/static, read once at start. A request names one of them or gets 404: no path is ever
made from what a visitor sent.

The address holds a hash of all of them together, so each may be kept for ever, and relative imports between
modules stay within one release.
"""

import gzip
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from markupsafe import Markup
from msgspec import Struct

from app.pages.answer import SECURITY, accepts_gzip, matches

_FOLDER = Path(__file__).parent.parent / "static"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class File(Struct, frozen=True):
    content: bytes
    packed: bytes
    media_type: str


def _read(folder: Path) -> dict[str, File]:
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _MEDIA_TYPES:
            content = path.read_bytes()
            files[path.name] = File(content, gzip.compress(content, mtime=0), _MEDIA_TYPES[path.suffix])
    return files


FILES = _read(_FOLDER)
RELEASE = sha256(b"\0".join(name.encode() + b"\0" + its.content for name, its in FILES.items())).hexdigest()[
    :12
]


def url(name: str) -> str:
    if name not in FILES:
        raise KeyError(f"app/static has no file {name}")
    return f"/static/{RELEASE}/{name}"


def style(*names: str, beat: float) -> Markup:
    """Stylesheets as one text to be put into a page, without what only readers of the source need."""
    text = f":root{{--beat:{beat:g}s}}" + "".join(FILES[name].content.decode() for name in names)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    return Markup(re.sub(r" ?([{};,]) ?", r"\1", text).replace(";}", "}").strip())


@route(
    "/static/{release:str}/{name:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"scope": "public"}
)
async def file(
    request: Request[Any, Any, Any], release: FromPath[str], name: FromPath[str]
) -> Response[bytes]:
    its = FILES.get(name)
    if its is None or release != RELEASE:
        raise NotFoundException("There is no such file.")
    headers = {
        **SECURITY,
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": f'"{RELEASE}"',
        "Vary": "Accept-Encoding",
    }
    if matches(request, headers["ETag"]):
        return Response(b"", status_code=304, headers=headers)
    packed = accepts_gzip(request)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(its.packed if packed else its.content, media_type=its.media_type, headers=headers)


def routes() -> list[HTTPRouteHandler]:
    return [file]
