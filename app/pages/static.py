"""The files of app/static, read once at start. A request names one of them or gets 404: no path is ever
made from what a visitor sent.

The address holds a hash of all of them together, so each may be kept for ever, and relative imports between
modules stay within one release. A script that a page names is joined with all that it imports: one request
instead of seven, and half the bytes.
"""

import asyncio
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from markupsafe import Markup
from msgspec import Struct

from app.pages.answer import BEST, Packed, pack

_FOLDER = Path(__file__).parent.parent / "static"
# What pages name, and what is loaded later by one of these; the modules that they import are in them.
JOINED = {"page.js": "", "news.js": "page.js", "bars.js": "page.js", "wall.js": "", "admin.js": ""}
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class File(Struct, frozen=True):
    content: bytes
    media_type: str


def joined(name: str, read: Callable[[str], str], by: str = "") -> str:
    """A module with those that it imports, each in a scope of its own, so that they may use the same names,
    and without what only readers of the source need. What is loaded `by` another takes from it what that
    has."""
    parts = _parts(name, read)
    there = _parts(by, read) if by else {}
    taken = ", ".join(_scope(part) for part in parts if part in there)
    lent = ", ".join(map(_scope, parts)) if name in JOINED.values() else ""
    own = "".join(code for part, code in parts.items() if part not in there)
    exported = ", ".join(re.findall(_EXPORT, read(name), re.MULTILINE))
    return (
        (f"import {{ {taken} }} from './{by}';\n" if taken else "")
        + own
        + (f"export const {{ {exported} }} = {_scope(name)};\n" if exported else "")
        + (f"export {{ {lent} }};\n" if lent else "")
    )


def _parts(name: str, read: Callable[[str], str]) -> dict[str, str]:
    """A module behind all that it imports."""
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        code = read(name)
        for _, imported in re.findall(_IMPORT, code, re.MULTILINE):
            if imported not in parts:
                add(imported)
        parts[name] = _scoped(name, code)

    add(name)
    return parts


# The one form in which our modules import and export.
_IMPORT = r"^import (\{[^}]*\}) from '\./([\w.]+)';$"
_EXPORT = r"^export (?=(?:const|class|function) (\w+))"


def _scoped(name: str, code: str) -> str:
    exported = ", ".join(re.findall(_EXPORT, code, re.MULTILINE))
    code = re.sub(_IMPORT, lambda found: f"const {found[1]} = {_scope(found[2])};", code, flags=re.MULTILINE)
    code = re.sub(_EXPORT, "", code, flags=re.MULTILINE)
    code = re.sub(r"^ *//.*\n|^ +|^\n|(?<=[;{,]) //.*", "", code, flags=re.MULTILINE)
    code = tightened(re.sub(r"(?<=[;{},])\n", "", code))
    given = f"return{{{exported}}}" if exported else ""
    return f"const {_scope(name)}=(()=>{{{code}{given}}})();\n"


# What a script says in words and in patterns, in which a space means something. Of a template within a
# template there may be no more than one.
_INNER = r"`(?:[^`\\]|\\.)*`"
_HOLE = rf"\$\{{(?:[^`{{}}]|\{{[^{{}}]*\}}|{_INNER})*\}}"
TEXTS = rf"('(?:[^'\\\n]|\\.)*'|`(?:[^`\\$]|\\.|\$(?!\{{)|{_HOLE})*`|(?<=\()/(?:\[[^]\n]*\]|[^/\\\n]|\\.)+/)"


def tightened(code: str) -> str:
    """Without spaces beside signs, and without the `;` before a brace: names stay what they are."""
    # Every other part is one of the texts.
    parts = re.split(TEXTS, code)
    parts[::2] = [
        re.sub(r" ?([{}()\[\]=>,;:?&|!<]) ?", r"\1", part).replace(";}", "}") for part in parts[::2]
    ]
    return "".join(parts)


def _scope(name: str) -> str:
    return f"_{name.removesuffix('.js')}"


def _read(folder: Path) -> dict[str, File]:
    texts = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in _MEDIA_TYPES}
    whole = {
        name: joined(name, lambda module: texts[module].decode(), by).encode() for name, by in JOINED.items()
    }
    return {
        name: File(content, _MEDIA_TYPES[Path(name).suffix])
        for name, content in sorted((texts | whole).items())
    }


FILES = _read(_FOLDER)
RELEASE = sha256(b"\0".join(name.encode() + b"\0" + its.content for name, its in FILES.items())).hexdigest()[
    :12
]


def url(name: str) -> str:
    if name not in FILES:
        raise KeyError(f"app/static has no file {name}")
    return f"/static/{RELEASE}/{name}"


def icon(status: str) -> Markup:
    """The picture for a tab, to be put into a page: as a file it would be mostly headers, and the one that
    says a page is stale is needed when there is no server to ask."""
    svg = FILES[f"status-{status}.svg"].content.decode().strip()
    return Markup("data:image/svg+xml," + svg.replace('"', "'").replace("#", "%23"))


def texts(*names: str) -> str:
    """Of scripts, to look for the words in them."""
    return "".join(FILES[name].content.decode() for name in names)


def style(*names: str, beat: float) -> Markup:
    """Stylesheets as one text to be put into a page, without what only readers of the source need."""
    text = f":root{{--beat:{beat:g}s}}" + "".join(FILES[name].content.decode() for name in names)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    # What is in quotes is shown, and stays as it is.
    text = re.sub(r'("[^"]*")|(?<=:) | ?([{};,]) ?', lambda found: found[1] or found[2] or "", text)
    return Markup(text.replace(";}", "}").strip())


# No tag: nobody asks again within a year.
_HEADERS = {
    "Cache-Control": "max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
}
_packed: dict[str, Packed] = {}


async def _pack(name: str, content: bytes) -> Packed:
    """As small as it gets, once: when somebody asks for it, or all of them would hold up the start by a
    quarter of a second."""
    if name not in _packed:
        _packed[name] = await asyncio.to_thread(pack, content, quality=BEST)
    return _packed[name]


def routes() -> list[HTTPRouteHandler]:
    @route(
        "/static/{release:str}/{name:str}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        opt={"scope": "public"},
    )
    async def file(
        request: Request[Any, Any, Any], release: FromPath[str], name: FromPath[str]
    ) -> Response[bytes]:
        its = FILES.get(name)
        if its is None or release != RELEASE:
            raise NotFoundException("There is no such file.")
        return (await _pack(name, its.content)).answer(request, its.media_type, _HEADERS)

    return [file]
