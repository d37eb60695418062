"""What would be script, style or markup, in every text that somebody can write: in a real browser it is text,
on every page, live and drawn, and the policy of the page has nothing to report."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Browser

from app import outbox
from app.db.change import Changes
from app.db.engine import connect
from app.db.incidents import Incidents
from app.db.interventions import Interventions
from app.db.maintenances import Maintenances
from app.domain.actor import Actor
from app.domain.incident import Affected, NewIncident, NewUpdate
from app.domain.instant import from_seconds
from app.domain.maintenance import NewMaintenance
from app.domain.status import Status
from app.feed import Feed
from app.security.passwords import Passwords
from tests.browser import Screen
from tests.conftest import eventually
from tests.people import PASSWORD
from tests.rows import config_for, rows
from tests.services import Valkey, Web

# Each would call `hurt`, or leave this machine, if a browser took it for more than text.
CORPUS = (
    "<script>hurt()</script>",
    "<img src=x onerror=hurt()>",
    "<svg/onload=hurt()>",
    "<svg><animate onbegin=hurt() attributeName=x dur=1s>",
    "<details open ontoggle=hurt()>",
    "<iframe srcdoc='<script>parent.hurt()</script>'></iframe>",
    "<math><mtext><table><mglyph><style><img src=x onerror=hurt()>",
    "<noscript><p title='</noscript><img src=x onerror=hurt()>'>",
    "</title><script>hurt()</script>",
    "</style><script>hurt()</script>",
    "</template><script>hurt()</script>",
    "</script><script>hurt()</script>",
    "<!--<script>hurt()//-->",
    "'\"><script>hurt()</script>",
    "' autofocus onfocus=hurt() x='",
    '" style="background:url(//evil.example)" x="',
    "{{constructor.constructor('hurt()')()}}",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example>",
    "<form action=//evil.example><button>x",
    "javascript:hurt()",
    "&lt;script&gt;hurt()&lt;/script&gt;",
)
MARKDOWN = (
    *CORPUS,
    "[a](javascript:hurt())",
    "[a](JaVaScRiPt&colon;hurt())",
    "[a](java\nscript:hurt())",
    "[a](data:text/html,<script>hurt()</script>)",
    "[a](vbscript:hurt())",
    "[a](//evil.example)",
    "![a](http://evil.example/a.png)",
    '![a](x"onerror="hurt())',
    "<javascript:hurt()>",
    "<a href='x' onclick='hurt()'>a</a>",
    "[a]: javascript:hurt()\n\n[a]",
    "`</code><script>hurt()</script>`",
    "```\n</pre><script>hurt()</script>\n```",
    "| a |\n|---|\n| <img src=x onerror=hurt()> |",
    '[a](http://x/"onmouseover="hurt())',
    "# <script>hurt()</script>",
)
WATCH = """
  window.hurts = [];
  window.hurt = () => window.hurts.push('called');
  document.addEventListener('securitypolicyviolation', (it) => window.hurts.push(it.blockedURI + it.sample));
"""
# Elements that nobody wrote into a page of ours, and attributes that run something or lead elsewhere.
FOREIGN = """[...document.querySelectorAll('body *')].filter((it) =>
  it.matches('iframe, object, embed, base, meta, link, math, details[ontoggle], body style') ||
  it.matches('script:not([src]):not([type="application/json"]), form[action]:not([action^="/"])') ||
  [...it.attributes].some(({ name, value }) =>
    /^on/i.test(name) || (/^(href|src|action|formaction|xlink:href)$/i.test(name) &&
      /^\\s*(javascript|data|vbscript):|^\\/\\//i.test(value)))
).map((it) => it.outerHTML.slice(0, 200))"""
EVIL = Actor("user", CORPUS[0])


def file_of(password_hash: str) -> dict[str, Any]:
    texts = CORPUS
    components = [
        {
            "name": text,
            "slug": f"c{n}",
            "description": text,
            "monitors": [{"tcp": "127.0.0.1:9", "slug": f"m{n}"}],
        }
        for n, text in enumerate(texts)
    ]
    looks = {
        "footer": " ".join(texts[:9])[:300],
        "links": [{"name": text, "url": "https://x.example"} for text in texts[:20]],
        "accent": "#aa3355",
    }
    return {
        "page": {"name": texts[0], **looks},
        "pages": [
            {"slug": "other", "name": texts[8], "language": "de", **looks},
            {"slug": "vip", "name": texts[13], "access": "password", "password_hash": password_hash},
        ],
        "groups": [
            {"name": texts[13], "components": components[:8]},
            {"name": texts[9], "components": components[8:16]},
        ],
        "components": components[16:],
    }


@pytest.fixture(scope="module")
async def web() -> AsyncIterator[Web]:
    hash = await Passwords().hash(PASSWORD)
    with Valkey() as valkey, Web(valkey.start().url, STATUSWIRE_BEAT="0.4") as web:
        (web.folder / "statuswire.yaml").write_text(json.dumps(file_of(hash)))
        web.start()
        await eventually(lambda: b'data-slug="c1"' in web.get("/")[1])
        await write_everything(web, valkey.url)
        yield web


async def write_everything(web: Web, redis_url: str) -> None:
    """Whatever operators can say, by the doors' own functions."""
    changes = Changes(await connect(config_for(web.database_url)))
    await eventually(lambda: rows(changes.database, "SELECT slug FROM components"))
    now = from_seconds(datetime.now(UTC).timestamp())
    incidents, maintenances = Incidents(changes), Maintenances(changes)
    interventions, feed = Interventions(changes), Feed(redis_url, beat=0.4)
    for n, text in enumerate(MARKDOWN):
        title = text.replace("\n", " ")
        new = NewIncident(title=title, words=text, components=(Affected(f"c{n % len(CORPUS)}"),))
        made = await incidents.post(EVIL, now, new)
        await incidents.update(EVIL, now, made.id, NewUpdate(words=text))
        await incidents.acknowledge(EVIL, now, made.id)
        planned = NewMaintenance(
            title=title,
            words=text,
            starts=now + timedelta(hours=1 + n),
            ends=now + timedelta(hours=2 + n),
            components=(f"c{n % len(CORPUS)}",),
        )
        await maintenances.schedule(EVIL, now, planned)
    for n, text in enumerate(CORPUS):
        await interventions.override(EVIL, now, f"c{n}", Status.MAJOR, text)
        await interventions.acknowledge(EVIL, now, f"c{n}", text)
    await outbox.empty(changes, feed)
    await feed.close()
    await changes.database.close()


@asynccontextmanager
async def watched(browser: Browser, url: str, **given: Any) -> AsyncIterator[Screen]:
    """A page on which nothing happens that it was not written for."""
    dialogs: list[str] = []
    fetched: list[str] = []
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, **given)
    await context.add_init_script(WATCH)
    opened = Screen(await context.new_page())
    opened.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    opened.page.on("request", lambda request: fetched.append(request.url))
    try:
        await opened.page.goto(url)
        yield opened
        await opened.page.wait_for_timeout(300)
        assert await opened.page.evaluate("window.hurts ?? []") == []
        assert [it for it in opened.complaints if "responded with a status of 4" not in it] == []
        assert dialogs == []
        assert {urlsplit(asked).netloc for asked in fetched} <= {urlsplit(url).netloc}
    finally:
        await context.close()


PATHS = (
    *("/", "/wall", "/p/other", "/p/other/wall", "/history", "/p/other/history", "/p/vip"),
    *("/components/c0", "/p/other/components/c13"),
)
ASKED = ("/login?then=", "/?range=", "/?lang=", "/wall?theme=", "/history?month=", "/no/", "/p/")


@pytest.mark.parametrize("script", [True, False], ids=["live", "drawn"])
@pytest.mark.parametrize("path", PATHS)
async def test_it_is_text_on_every_page(browser: Browser, web: Web, path: str, script: bool) -> None:
    async with watched(browser, f"{web.url}{path}", java_script_enabled=script) as visit:
        assert await visit.page.evaluate(FOREIGN) == []


async def test_it_is_text_in_what_the_script_is_told(browser: Browser, web: Web) -> None:
    """Names and stories that come while the page is open are put there by scripts."""
    redis_url = web.environ["REDIS_URL"]
    async with watched(browser, web.url) as page, watched(browser, f"{web.url}/wall") as wall:
        await write_everything(web, redis_url)
        for visit in (page, wall):
            await visit.page.wait_for_function(
                "n => document.querySelectorAll('.story').length >= n", arg=len(MARKDOWN) * 3
            )
            assert await visit.page.evaluate(FOREIGN) == []


@pytest.mark.parametrize("path", ASKED)
async def test_it_is_text_in_what_an_address_says(browser: Browser, web: Web, path: str) -> None:
    """What has a tag, in what is answered, and a third of it in a browser, so each at two addresses or more;
    the rest always in a browser."""
    tags = [text for text in CORPUS if "<" in text]
    for text in tags:
        assert text.encode() not in web.get(f"{path}{quote(text, safe='')}")[1]
    seen = [*tags[ASKED.index(path) % 3 :: 3], *(text for text in CORPUS if "<" not in text)]
    async with watched(browser, web.url) as visit:
        for text in seen:
            await visit.page.goto(f"{web.url}{path}{quote(text, safe='')}", wait_until="domcontentloaded")
            assert await visit.page.evaluate(FOREIGN) == []
            assert not await visit.page.evaluate("window.hurts?.length")


async def test_it_is_text_in_what_was_typed_wrong(browser: Browser, web: Web) -> None:
    for path, names in (("/setup", ("token", "name", "email")), ("/p/vip", ())):
        async with watched(browser, f"{web.url}{path}") as visit:
            for name in names:
                await visit.page.fill(f"[name={name}]", CORPUS[13])
            await visit.page.evaluate("document.querySelector('form').noValidate = true")
            await visit.page.fill("[name=password]", PASSWORD + CORPUS[13])
            await visit.page.click("button")
            await visit.page.wait_for_selector("[role=alert]")
            assert await visit.page.evaluate(FOREIGN) == []
