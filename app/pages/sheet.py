"""Pages with a form, each for one person: drawn anew each time, kept by nobody, complete without a script.

Those that visitors come to have the looks of one of our pages and speak as it does; all others are English.
Also what such a page needs of cookies, which only these pages set.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response
from litestar.datastructures import Cookie
from markupsafe import Markup
from msgspec import Struct

from app.domain.monitor import Page
from app.pages.answer import SECURITY, content_policy
from app.pages.branding import accent_style
from app.pages.drawing import draw
from app.pages.language import DEFAULT, NAMES, Language, choose, languages
from app.pages.static import style
from app.security.callers import COOKIE, HOST
from app.security.signin import KNOWN_BROWSER_FOR, Opened

BROWSER = f"{COOKIE}-browser"
# What stands in an address as it is; of all else a header would be broken, or made two.
_OF_ADDRESSES: Final = "!#$%&'()*+,/:;=?@[]~"
_STYLE = style("tokens.css", "form.css", beat=5.0)
_HEADERS = {**SECURITY, "Cache-Control": "no-store"}


class Dress(Struct, frozen=True):
    """What a form looks like and speaks. `asked` is the language of its address, if it has one: what the form
    is sent to keeps it."""

    language: Language
    asked: str = ""
    page: Page | None = None

    def address(self, path: str) -> str:
        return f"{path}?lang={self.asked}" if self.asked else path


def dress_of(page: Page | None, request: Request[Any, Any, Any]) -> Dress:
    asked = request.query_params.get("lang", "")
    language = choose(request, page.language if page else DEFAULT)
    return Dress(language, asked if asked in NAMES else "", page)


_PLAIN: Final = Dress(languages()[DEFAULT])


def sheet(
    template: str,
    title: str,
    values: Mapping[str, object],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    wrong: str = "",
    good: str = "",
    dress: Dress = _PLAIN,
) -> Response[str]:
    accent, logo = (dress.page.accent, dress.page.logo) if dress.page else (None, None)
    style = Markup(_STYLE + accent_style(accent))
    look = {"style": style, "logo": logo, "accented": accent is not None, "dress": dress}
    words = {"title": title, "wrong": wrong, "good": good, "say": dress.language.say}
    html = draw(template, **look, **words, **values)
    given = {**_HEADERS, "Content-Security-Policy": content_policy(style, logo), **(headers or {})}
    return Response(html, status_code=status, media_type="text/html", headers=given)


def go(where: str, *cookies: Cookie) -> Response[str]:
    """After a form: so that to load the page again does not send it again."""
    headers = {"Location": quote(where, safe=_OF_ADDRESSES), "Cache-Control": "no-store"}
    return Response("", status_code=303, media_type="text/html", headers=headers, cookies=list(cookies))


def cookie_for(name: str, value: str, tls: bool, seconds: float | None) -> Cookie:
    """None seconds: until the browser is closed. No value takes the cookie away."""
    return Cookie(
        key=HOST + name if tls else name,
        value=value,
        max_age=0 if not value else None if seconds is None else int(seconds),
        path="/",
        secure=tls,
        httponly=True,
        # Not strict: a link in a mail to one of our pages is to find somebody signed in.
        samesite="lax",
    )


def cookies_of(opened: Opened, tls: bool) -> list[Cookie]:
    return [
        cookie_for(COOKIE, opened.secret, tls, 7 * 86400.0),
        cookie_for(BROWSER, opened.known_browser, tls, KNOWN_BROWSER_FOR),
    ]


async def read_form(request: Request[Any, Any, Any], *names: str) -> dict[str, str]:
    """What was typed; what is not there is empty. A NUL is nothing that is typed, and Postgres takes none."""
    form = await request.form()
    typed = {name: given for name in names if isinstance(given := form.get(name), str)}
    return {name: typed.get(name, "").replace("\0", "\N{REPLACEMENT CHARACTER}") for name in names}
