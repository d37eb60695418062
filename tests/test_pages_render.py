"""What the server draws, before any browser: words, bars, headers, and what is never in it."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec.structs import replace

from app.api.v1.problem import answer_error
from app.config import Config
from app.db.engine import Database, connect
from app.db.history import History
from app.db.migrate import bring_up_to_date
from app.db.recorder import Recorder
from app.domain.events import IncidentChange, Logged
from app.domain.incident import Affected, Impact, Incident, IncidentStatus, Update
from app.domain.instant import to_ms
from app.domain.monitor import Catalog, Link, Page
from app.domain.standing import State
from app.domain.status import Status, Tally, overall
from app.domain.uptime import Uptime
from app.feed import Heard
from app.live.hub import Hub
from app.pages import door, public, static, wall
from app.pages.bars import component_bar, group_bar, uptime_text
from app.pages.branding import contrast, shades
from app.pages.charts import DAY as DAY_CHART
from app.pages.charts import HEIGHT, STRETCHES, Point, chart
from app.pages.drawing import BAD_FILE, zone
from app.pages.language import Language
from app.pages.rows import SIGN, WORD, Group, Row, Sight, began, weighed
from app.pages.sentences import headline, summary, tally
from app.pages.stale import WHY
from app.pages.stories import Story
from app.security.callers import Callers
from app.security.entrance import Entrance
from app.security.passwords import Passwords
from app.security.secrets import Secrets
from app.security.visitor import LOOPBACK
from tests.make import (
    NOON,
    a_batch,
    a_beat,
    a_board,
    a_catalog,
    a_catalog_change,
    a_change,
    a_component,
    a_monitor,
    a_sample,
    a_silence,
    after,
)

SECRETS = ("10.9.8.7", "connection refused", "timeout", "secret", "api/http", "Bearer")
STATIC = Path(static.__file__).parent.parent / "static"
DAY = 86_400_000
ENGLISH = Language("en")


class Server:
    """The pages over a real hub and a real database, and a way to tell the hub things."""

    def __init__(
        self, client: AsyncTestClient[Litestar], hub: Hub, database: Database, clock: list[float]
    ) -> None:
        self.client = client
        self._clock = clock
        self.hub = hub
        self.database = database
        self._said = 0

    def hear(self, *events: Logged, at: datetime = NOON) -> None:
        for event in events:
            self._said += 1
            self.hub.hear(Heard(f"{to_ms(at)}-{self._said}", event))

    def wait(self, seconds: float) -> None:
        """For the hub's clocks alone: no test waits."""
        self._clock[0] += seconds

    def beat(self) -> None:
        self.hub.hear(Heard("", a_beat()))


@asynccontextmanager
async def serving(folder: Path, catalog: Catalog) -> AsyncIterator[Server]:
    config = Config.read({"DATABASE_URL": f"sqlite:///{folder}/statuswire.db"})
    await bring_up_to_date(config)
    database = await connect(config)
    clock = [NOON.timestamp()]
    hub = Hub(config.beat, wall_clock=lambda: clock[0], monotonic=lambda: clock[0])
    hub.link(True)
    callers = Callers(database, LOOPBACK, hub.now)
    entrance = Entrance(Secrets(["a key of a test"]), callers)
    app = Litestar(
        [
            *public.routes(hub, config, History(database), entrance),
            *door.routes(hub, entrance, callers, Passwords()),
            *wall.routes(hub, config, History(database), callers, entrance),
            *static.routes(),
        ],
        exception_handlers={Exception: answer_error},
        openapi_config=None,
        logging_config=None,
    )
    try:
        async with AsyncTestClient(app) as client:
            server = Server(client, hub, database, clock)
            server.beat()
            server.hear(a_catalog_change(catalog, NOON))
            yield server
    finally:
        await database.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    catalog = a_catalog(
        a_component("api", group="Payments"),
        a_component("web", group="Payments"),
        a_component("mail"),
        groups=("Payments",),
        page=Page(name="Acme Status", time_zone="Europe/Berlin"),
    )
    async with serving(tmp_path, catalog) as server:
        for slug in ("api", "web", "mail"):
            server.hear(a_change(State.UP, NOON, f"{slug}/http"))
        yield server


async def test_a_page_is_whole_and_says_how_things_stand(server: Server) -> None:
    server.hear(a_change(State.DOWN, NOON, "api/http"))

    html = (await server.client.get("/")).text

    assert "<title>✕ Major outage: Api · Acme Status</title>" in html
    assert "<h1>Major outage: Api</h1>" in html
    assert "1 of 3 components affected" in html
    assert 'data-slug="api" data-status="major_outage"' in html
    assert html.index('data-group="Payments"') < html.index('data-slug="mail"')
    assert re.search(r'data-group="Payments" open>', html)
    assert "As of 31 Jan, 13:00 CET" in html


async def test_what_operators_tell_is_drawn_as_html_on_the_page_and_named_on_the_wall(
    server: Server,
) -> None:
    said = Update(n=1, at=NOON, status="investigating", words="We **look**. <b>")
    incident = Incident(
        id="i",
        title="Cards <fail>",
        status=IncidentStatus.INVESTIGATING,
        impact=Impact.MINOR,
        since=NOON,
        updated=NOON,
        updates=(said,),
    )
    server.hear(IncidentChange(at=NOON, incident=incident))
    page, wall = [await server.client.get(path) for path in ("/", "/wall")]
    assert "<p>We <strong>look</strong>. &lt;b&gt;</p>" in page.text
    for drawn in (page, wall):
        assert drawn.status_code == 200
        assert "Cards &lt;fail&gt;" in drawn.text


async def test_what_the_public_may_not_see_is_on_no_page(server: Server) -> None:
    server.hear(
        a_change(
            State.DOWN,
            NOON,
            "api/http",
            reason="timeout",
            detail="connection refused by 10.9.8.7, sent Authorization: Bearer secret",
        )
    )
    for path in ("/", "/wall"):
        html = (await server.client.get(path)).text
        assert "Api" in html
        assert [secret for secret in SECRETS if secret in html.partition("</style>")[2]] == []


async def test_a_stale_screen_says_why_and_names_the_last_word_of_a_worker(server: Server) -> None:
    server.hear(a_change(State.DOWN, NOON, "api/http"))
    server.wait(20)
    page, wall = [(await server.client.get(path)).text for path in ("/", "/wall")]
    assert "<h1>Not live: no word from the probes</h1>" in page
    assert "Last known state, from 13:00:00: Major outage: Api" in page
    assert "<h1>No live data</h1><p>No word from the probes</p>" in wall
    assert 'data-known="2026-01-31T12:00:00.000Z"' in page
    assert 'data-known="2026-01-31T12:00:00.000Z"' in wall

    server.hub.link(False)
    page, wall = [(await server.client.get(path)).text for path in ("/", "/wall")]
    assert "<h1>Not live: the server has lost its feed</h1>" in page
    assert "<h1>No live data</h1><p>The server has lost its feed</p>" in wall


async def test_a_silence_is_not_taken_for_a_word(server: Server) -> None:
    server.hear(*(a_silence(after(65), f"{slug}/http") for slug in ("api", "web", "mail")), at=after(66))
    server.wait(100)
    assert "Nothing heard since 13:00:00" in (await server.client.get("/")).text
    server.wait(86_400)
    server.hub.check()
    assert server.hub.regions == {}  # forgotten, as by a server that has started since
    assert "Nothing heard since 31 Jan, 13:00 CET" in (await server.client.get("/")).text


async def test_a_description_is_on_the_page_and_not_on_the_wall(tmp_path: Path) -> None:
    catalog = a_catalog(a_component("api", description="Card & <b>SEPA</b>"), "web")
    async with serving(tmp_path, catalog) as server:
        page = (await server.client.get("/")).text
        assert page.count('class="description"') == 1
        assert "Card &amp; &lt;b&gt;SEPA&lt;/b&gt;" in page
        assert "SEPA" not in (await server.client.get("/wall")).text


async def test_operators_alone_are_told_of_a_bad_file(server: Server) -> None:
    # This client has no address, and who has none is not near.
    drawn = [(await server.client.get(path)).text for path in ("/", "/wall")]
    assert 'class="operators"' not in drawn[0]
    assert '<p class="operators" lang="en" dir="ltr" hidden>' in drawn[1]

    server.hub.bad_file = True

    assert (await server.client.get("/")).text == drawn[0]
    assert (
        f'<p class="operators" lang="en" dir="ltr">{BAD_FILE}</p>' in (await server.client.get("/wall")).text
    )


async def test_a_page_that_has_not_changed_is_not_sent_again(server: Server) -> None:
    for path in ("/", "/wall", "/wall?theme=light"):
        first = await server.client.get(path)
        again = await server.client.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]

        server.hear(a_change(State.DEGRADED, NOON, "web/http"))
        after = await server.client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert after.status_code == 200
        server.hear(a_change(State.UP, NOON, "web/http"))


async def test_a_measurement_changes_the_wall_alone(server: Server) -> None:
    page = (await server.client.get("/")).headers["etag"]
    drawn = (await server.client.get("/wall")).headers["etag"]

    server.hear(a_batch(a_sample(State.UP, NOON, "api/http", took=77.7)))

    assert "78 ms" in (await server.client.get("/wall")).text
    assert (await server.client.get("/wall")).headers["etag"] != drawn
    assert (await server.client.get("/")).headers["etag"] == page


async def test_many_who_ask_at_once_are_given_the_same_drawing(server: Server) -> None:
    answers = await asyncio.gather(*(server.client.get("/") for _ in range(20)))
    assert len({answer.text for answer in answers}) == 1


def test_the_board_is_looked_at_once_for_all_who_ask() -> None:
    board, page, wall = a_board("api", "web"), Sight(speed=False), Sight(speed=True)
    on_page, on_wall = page.of(board), wall.of(board)
    assert page.of(board) is on_page
    assert wall.of(board) is on_wall

    board.fold("1-0", a_batch(a_sample(State.UNKNOWN, NOON, "api/http", took=77.7)))
    assert page.of(board) is on_page
    assert wall.of(board).rows[0].latency == 77.7
    assert wall.of(board).mark != on_wall.mark

    board.fold("2-0", a_change(State.DOWN, NOON, "api/http"))
    assert [row.status for row in page.of(board).rows] == [Status.MAJOR, Status.UNKNOWN]
    assert page.of(board).mark != on_page.mark

    board.fold("3-0", a_catalog_change(a_catalog(a_component("api", name="Renamed"), "web")))
    assert [row.name for row in page.of(board).rows] == ["Renamed", "Web"]
    # Another server, which has folded the same.
    assert Sight(speed=False).of(board).mark == page.of(board).mark


async def test_who_has_the_page_already_costs_nearly_nothing_however_wide_it_is(tmp_path: Path) -> None:
    """With each of them a look at ten thousand components, a few visitors a second held up every frame."""
    async with serving(tmp_path, a_catalog(*(f"c{n}" for n in range(3000)))) as server:
        tag = (await server.client.get("/")).headers["etag"]
        took = []
        for _ in range(20):
            began = time.perf_counter()
            answer = await server.client.get("/", headers={"If-None-Match": tag})
            took.append(time.perf_counter() - began)
            assert answer.status_code == 304
    assert min(took) < 0.003


@pytest.mark.parametrize("path", ["/", "/wall"])
async def test_headers_are_strict_and_allow_the_style_that_is_in_the_page(server: Server, path: str) -> None:
    answer = await server.client.get(path)

    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(sha256(style[1].encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none';script-src 'self';style-src 'self' 'sha256-{digest}';img-src 'self' data:;"
        "connect-src 'self';base-uri 'none';form-action 'self';frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"""\s(style|on\w+)=["']""", answer.text.partition("</style>")[2])


async def test_a_page_is_packed_for_who_can_unpack_it(server: Server) -> None:
    async def encoding(accepted: str) -> str | None:
        answer = await server.client.get("/", headers={"Accept-Encoding": accepted})
        assert "<h1>" in answer.text
        assert answer.headers["vary"] == "Accept-Encoding, Accept-Language"
        return answer.headers.get("content-encoding")

    assert await encoding("br, gzip") == "br"
    assert await encoding("br;q=0, gzip;q=0.5") == "gzip"
    assert await encoding("*") == "gzip"
    assert await encoding("br;q=0.0, gzip;q=0") is None
    assert await encoding("") is None


async def test_head_gets_the_headers_alone(server: Server) -> None:
    for path in ("/", "/wall", static.url("page.js")):
        answer = await server.client.head(path)
        assert answer.status_code == 200
        assert answer.content == b""


async def test_static_files_are_kept_for_ever_under_their_release_and_found_nowhere_else(
    server: Server,
) -> None:
    for name in static.FILES:
        answer = await server.client.get(static.url(name))
        assert name in static.JOINED or answer.content == (STATIC / name).read_bytes()
        assert answer.headers["cache-control"] == "max-age=31536000, immutable"
    assert (
        (await server.client.get(static.url("live.js"))).headers["content-type"].startswith("text/javascript")
    )
    release = static.RELEASE
    for path in (
        "/static/000000000000/page.js",
        f"/static/{release}/nothing.js",
        f"/static/{release}/../pages/public.py",
        f"/static/{release}/..%2fpages%2fpublic.py",
        f"/static/{release}/%2e%2e",
        f"/static/{release}/",
        "/static/",
    ):
        assert (await server.client.get(path)).status_code in (404, 405)


def test_every_file_a_page_or_module_names_is_there() -> None:
    for path in STATIC.glob("*.js"):
        for imported in re.findall(r"from '\./([^']+)'", path.read_text()):
            assert imported in static.FILES
    assert {f"status-{status}.svg" for status in (*Status, "stale")} <= set(static.FILES)


def test_what_is_taken_out_of_scripts_was_in_none_of_their_texts() -> None:
    for path in STATIC.glob("*.js"):
        # Comments are gone by then.
        code = re.sub(r"^ *//.*\n|(?<=[;{,]) //.*", "", path.read_text(), flags=re.MULTILINE)
        parts = re.split(static.TEXTS, code)
        assert [part for part in parts[::2] if "'" in part or "`" in part] == [], path.name
        assert re.split(static.TEXTS, static.tightened(code))[1::2] == parts[1::2], path.name
    assert static.tightened("if (a ?? b) { say(`a = ${b(`c , d`)} ; ${e}`, ' , '); }\nf(/[+ ], $/, g)") == (
        "if(a??b){say(`a = ${b(`c , d`)} ; ${e}`,' , ')}\nf(/[+ ], $/,g)"
    )


def test_the_script_and_the_server_use_the_same_words() -> None:
    told = re.findall(
        r"^  (\w+): \{ rank: (\d), word: '([^']+)', sign: '([^']+)' \}",
        (STATIC / "status.js").read_text(),
        re.MULTILINE,
    )
    assert told == [(status, str(rank), WORD[status], SIGN[status]) for rank, status in enumerate(Status)]
    reasons = dict(re.findall(r"^  (\w+): '([^']+)',", (STATIC / "live.js").read_text(), re.MULTILINE))
    assert reasons.items() >= WHY.items()


async def test_without_a_database_the_page_is_there_without_bars(server: Server) -> None:
    await server.database.close()

    answer = await server.client.get("/")

    assert answer.status_code == 200
    assert "All systems operational" in answer.text
    assert 'class="bar"' not in answer.text
    assert "past 90 days" not in answer.text


async def test_bars_outlive_the_database_that_they_were_read_from(server: Server) -> None:
    assert 'class="bar"' in (await server.client.get("/")).text
    await server.database.close()
    server.hear(a_change(State.DOWN, NOON, "api/http"))
    server.wait(61)
    server.beat()
    answer = (await server.client.get("/")).text
    assert "Major outage: Api" in answer
    assert 'class="bar"' in answer


async def test_an_empty_page_claims_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, Catalog()) as server:
        page = (await server.client.get("/")).text
        assert "<h1>Nothing is watched yet</h1>" in page
        assert 'class="hero" data-status="unknown"' in page
        assert "Nothing is watched yet" in (await server.client.get("/wall")).text


async def test_a_zone_this_machine_does_not_know_does_not_take_the_page_away(tmp_path: Path) -> None:
    async with serving(tmp_path, a_catalog(page=Page(time_zone="Mars/Olympus"))) as server:
        assert re.search(r"As of .* UTC<", (await server.client.get("/")).text)
    assert zone("../../etc/passwd").key == "UTC"


def _row(status: Status, since: float = 0.0, slug: str = "a") -> Row:
    at = NOON + timedelta(seconds=since)
    return Row(slug=slug, name=slug, group=None, status=status, since=at, latency=None)


def test_a_count_names_what_ails_most() -> None:
    well, ill = _row(Status.OPERATIONAL), _row(Status.DEGRADED)
    silent, resting = _row(Status.UNKNOWN), _row(Status.MAINTENANCE)

    assert summary(_group(well, ill, silent, resting), ENGLISH) == "1 of 4 affected"
    assert summary(_group(well, silent, resting), ENGLISH) == "1 of 3 unknown"
    assert summary(_group(well, resting), ENGLISH) == "Maintenance"
    assert summary(_group(ill), ENGLISH) == "Degraded"
    assert tally([well, well], ENGLISH) == "All 2 components work"
    assert tally([well], ENGLISH) == "The one component works"
    assert tally([well, silent], ENGLISH) == "1 of 2 components unknown"
    assert tally([well, resting], ENGLISH) == "1 of 2 components in maintenance"
    assert tally([ill], ENGLISH) == "1 of 1 component affected"
    assert tally([], ENGLISH) == "No component has been added"


def _group(*rows: Row) -> Group:
    return Group(name="g", rows=rows)


@given(st.lists(st.sampled_from(Status), max_size=4))
def test_the_headline_of_a_page_is_the_sentence_of_its_frames(statuses: list[Status]) -> None:
    rows = [_row(status, slug=f"c{n}") for n, status in enumerate(statuses)]
    summed_up = overall((row.name, row.status) for row in rows)
    assert headline(rows, ENGLISH) == summed_up.description


@given(
    st.lists(st.sampled_from(Status), max_size=3),
    st.lists(st.sampled_from(list(Impact)), min_size=1, max_size=3),
)
def test_with_incidents_too(statuses: list[Status], impacts: list[Impact]) -> None:
    rows = [_row(status, slug=f"c{n}") for n, status in enumerate(statuses)]
    told = [_story(impact, n) for n, impact in enumerate(impacts)]
    summed_up = Tally((row.slug, row.name, row.status) for row in rows)
    for story in told:
        summed_up.tell(story.id, story.title, story.impact)
    assert headline(rows, ENGLISH, told) == summed_up.overall().description
    assert weighed(rows, told)[0] is summed_up.overall().status
    assert wall.sentence(rows, ENGLISH, told)[1] != "Nothing needs attention"


def _story(impact: Impact, n: int) -> Story:
    return Story(
        id=f"{n}",
        kind="incident",
        title=f"Trouble {n}",
        status="investigating",
        stage="Investigating",
        impact=impact,
        starts=after(n),
        affects="",
        said=(),
    )


def test_an_outage_began_when_the_first_of_the_worst_did() -> None:
    rows = [_row(Status.DEGRADED, 0), _row(Status.MAJOR, 20), _row(Status.MAJOR, 10)]
    assert began(rows) == rows[2].since
    assert began([_row(Status.OPERATIONAL), _row(Status.MAINTENANCE)]) is None
    critical = _story(Impact.CRITICAL, 7)
    assert began(rows[:1], [critical]) == critical.starts


WELL = Uptime(operational=DAY, degraded=0, partial=0, major=0, maintenance=0, unknown=0)
UNSEEN = Uptime(operational=0, degraded=0, partial=0, major=0, maintenance=0, unknown=DAY)


def _ill(**spent: int) -> Uptime:
    return replace(WELL, operational=DAY - sum(spent.values()), **spent)


@given(st.lists(st.integers(0, DAY), min_size=1, max_size=90))
def test_uptime_is_never_rounded_up(down: list[int]) -> None:
    text = uptime_text([_ill(major=its) for its in down], ENGLISH)
    exact = 1 - sum(down) / (DAY * len(down))
    assert float(text.removesuffix(" %")) / 100 <= exact + 1e-12
    assert (text == "100 %") == (sum(down) == 0)


def test_uptime_has_as_many_digits_as_it_needs() -> None:
    assert uptime_text([WELL] * 90, ENGLISH) == "100 %"
    assert uptime_text([*[WELL] * 89, _ill(major=1)], ENGLISH) == "99.999 %"
    assert uptime_text([*[WELL] * 89, _ill(partial=DAY // 24)], ENGLISH) == "99.95 %"
    assert uptime_text([*[WELL] * 89, _ill(degraded=DAY)], ENGLISH) == "100 %"
    assert uptime_text([UNSEEN], ENGLISH) == "no data"


def test_a_bar_shows_each_kind_of_day() -> None:
    minute = 60_000
    days = [UNSEEN, UNSEEN, WELL, UNSEEN, _ill(major=minute * 2), _ill(maintenance=minute * 60), WELL]

    bar = component_bar('API <"prod">', days, ENGLISH)

    assert 'class="unwatched" d="M0 10h2"' in bar.picture
    assert 'class="good" data-status="operational" d="M2 10H7"' in bar.picture
    assert 'class="silent" d="M3.5 ' in bar.picture
    assert 'class="foot" data-status="major_outage" d="M4.5 ' in bar.picture
    assert 'class="foot" data-status="under_maintenance" d="M5.5 ' in bar.picture
    assert bar.picture.count('class="tick"') == 1  # planned work is no problem
    assert "4:major_outage:2;5:under_maintenance:60" in bar.picture
    assert 'data-first="2"' in bar.picture
    assert "API &lt;&#34;prod&#34;&gt;: uptime 99.96 % over 4 days, 1 day with problems" in bar.picture


def test_two_minutes_can_be_seen_and_a_day_looks_like_one() -> None:
    def height(spent: int) -> float:
        foot = re.search(
            r'class="foot"[^>]*d="M\S+ 20v-([\d.]+)', component_bar("a", [_ill(major=spent)], ENGLISH).picture
        )
        assert foot is not None
        return float(foot[1])

    assert height(120_000) == 6
    assert height(DAY) == 20
    assert height(120_000) < height(3_600_000) < height(DAY)


def test_some_seconds_do_not_give_a_day_the_colour_of_what_lasted_longer() -> None:
    bar = component_bar("a", [_ill(major=20_000, degraded=3_600_000)], ENGLISH)
    assert 'class="foot" data-status="degraded_performance"' in bar.picture
    assert 'data-status="major_outage"' in component_bar("a", [_ill(major=20_000)], ENGLISH).picture


def test_a_group_is_each_day_as_bad_as_its_worst_member() -> None:
    group = Group(name="g", rows=(_row(Status.OPERATIONAL, slug="a"), _row(Status.OPERATIONAL, slug="b")))

    bar = group_bar(group, {"a": [WELL, _ill(major=DAY // 2)], "b": [UNSEEN, WELL]}, ENGLISH)

    assert bar is not None
    assert bar.uptime == "87.50 %"
    assert 'class="good" data-status="operational" d="M0 10H2"' in bar.picture
    assert 'data-status="major_outage"' in bar.picture
    assert group_bar(group, {}, ENGLISH) is None


# The page of a component, and the calendar.


async def _remember(server: Server, *events: Logged) -> None:
    """In the database alone: the board has it already."""
    recorder = Recorder(server.database)
    await recorder.load()
    assert await recorder.record([Heard(f"{n}-0", event) for n, event in enumerate(events, 1)])


# Looked at so seldom that nothing is unknown for want of a word.
PATIENT = a_catalog(
    *(a_component(its, a_monitor(f"{its}/http", every=1e7)) for its in ("api", "web", "mail"))
)


async def test_a_component_has_a_page_with_its_uptime_speed_and_changes(server: Server) -> None:
    await _remember(
        server,
        a_catalog_change(PATIENT, after(-7200)),
        a_change(State.UP, after(-7200), "api/http"),
        a_batch(*(a_sample(State.UP, after(-3600 + 60 * n), "api/http", took=100.0 + n) for n in range(9))),
        a_change(State.DOWN, after(-1200), "api/http"),
        a_change(State.UP, after(-600), "api/http"),
    )
    html = (await server.client.get("/components/api")).text

    assert "<title>✓ Api: Operational · Acme Status</title>" in html
    assert "<h1>Api: Operational</h1>" in html
    assert re.search(r"<dt>24 hours</dt><dd>91.66 %</dd><dd class=\"down\">10 min down</dd>", html)
    assert re.search(r"median 10\d ms · p95 11\d ms", html)
    changes = re.findall(r'<span class="was" data-status="(\w+)"', html)
    assert changes == ["operational", "major_outage", "operational"]
    assert "10 min so far" in html
    assert html.count('<tr><th scope="row">') == DAY_CHART.points
    assert 'data-slug="web"' not in html

    page = (await server.client.get("/")).text
    assert 'href="/components/api?range=24h#speed"' in page
    assert 'href="/components/api"' in page


async def test_how_far_back_a_chart_reaches_can_be_chosen(server: Server) -> None:
    await _remember(
        server,
        a_catalog_change(server.hub.board.catalog, after(-7200)),
        a_batch(a_sample(State.UP, after(-60), "api/http", took=100.0)),
    )
    for name in (*STRETCHES, "nonsense"):
        html = (await server.client.get(f"/components/api?range={name}")).text
        chosen = re.search(r'range=(\w+)#speed" aria-current="true"', html)
        assert chosen and chosen[1] == (name if name in STRETCHES else "24h")
        assert 'class="chart"' in html


@pytest.mark.parametrize("slug", ["nobody", "..%2f..%2fetc", "api%00"])
async def test_what_is_no_component_has_no_page(server: Server, slug: str) -> None:
    assert (await server.client.get(f"/components/{slug}")).status_code == 404


async def test_the_calendar_names_outages_by_day_and_folds_the_days_between(server: Server) -> None:
    day = 86_400
    await _remember(
        server,
        a_catalog_change(PATIENT, after(-40 * day)),
        *(a_change(State.UP, after(-40 * day), f"{slug}/http") for slug in ("api", "web", "mail")),
        a_change(State.DOWN, after(-3 * day), "api/http"),
        a_change(State.UP, after(-3 * day + 720), "api/http"),
        a_change(State.DOWN, after(-2 * day), "web/http"),
        # Too short to be told.
        a_change(State.UP, after(-2 * day + 20), "web/http"),
    )
    html = (await server.client.get("/history")).text
    assert re.findall(r"<h3>(.*?)</h3>", html) == [
        "29\N{EN DASH}31 Jan",
        "28 Jan",
        "1\N{EN DASH}27 Jan",
    ]
    assert "Major outage · 13:00 · 12 min" in html
    assert html.count("No problem recorded") == 2
    assert 'href="/history?month=2025-12"' in html
    assert 'rel="next"' not in html

    assert "December 2025" in (await server.client.get("/history?month=2025-12")).text
    for month in ("2031-01", "13", "'; DROP TABLE spans", "0000-00"):
        assert (await server.client.get("/history", params={"month": month})).status_code == 200


async def test_without_a_database_each_page_says_what_it_cannot_show(server: Server) -> None:
    await server.database.close()
    for path in ("/", "/components/api", "/history"):
        answer = await server.client.get(path)
        assert answer.status_code == 200
        assert "The past cannot be shown: the database does not answer." in answer.text


async def test_each_language_is_a_drawing_of_its_own(server: Server) -> None:
    german = await server.client.get("/", headers={"Accept-Language": "de"})
    arabic = await server.client.get("/?lang=ar", headers={"Accept-Language": "de"})
    assert '<html lang="de" dir="ltr"' in german.text
    assert "<h1>Alle Systeme in Betrieb</h1>" in german.text
    assert '<html lang="ar" dir="rtl"' in arabic.text
    assert 'href="/history?lang=ar"' in arabic.text
    assert german.headers["etag"] != arabic.headers["etag"]
    words = re.search(r'<script type="application/json" id="words">(.*?)</script>', german.text)
    assert words and msgspec.json.decode(words[1])["just now"] == "gerade eben"
    assert 'id="words"' not in (await server.client.get("/")).text


def test_a_chart_breaks_where_nothing_was_measured() -> None:
    drawn = chart([None, Point(100, 200), Point(100, 180), None, Point(50, 50)])
    assert drawn is not None
    assert drawn.top == 200
    assert (drawn.median, drawn.high) == (50, 50)
    assert drawn.picture.count('class="median"') == drawn.picture.count('class="band"') == 2
    assert re.findall(r'class="gap" d="M(\d+) 0h(\d+)', drawn.picture) == [("0", "1"), ("3", "1")]
    assert chart([None, None]) is None
    assert chart([]) is None


@given(st.lists(st.none() | st.tuples(st.floats(0.1, 1e5), st.floats(0, 1e5)), min_size=2, max_size=60))
def test_no_chart_leaves_its_frame(measured: list[tuple[float, float] | None]) -> None:
    points = [its and Point(its[0], its[0] + its[1]) for its in measured]
    drawn = chart(points)
    if drawn is None:
        return
    assert all(point.high <= drawn.top for point in points if point)
    for path in re.findall(r'class="(?:median|band)" d="(.*?)"', drawn.picture):
        x = y = 0
        for command, number, second in re.findall(r"([MhvVz])(-?\d*) ?(-?\d*)", path):
            if command == "M":
                x, y = int(number), int(second)
            elif command == "h":
                x += int(number)
            elif command in "vV":
                y = int(number) + (y if command == "v" else 0)
            assert 0 <= x <= len(points) and 0 <= y <= HEIGHT


async def test_a_page_may_have_colours_a_logo_links_and_words_of_its_own(tmp_path: Path) -> None:
    page = Page(
        name="Acme",
        accent="#ffe600",
        logo="https://acme.example/logo.svg?a=1;script-src *",
        links=(Link("Imprint <b>", "https://acme.example/imprint"),),
        footer="Acme <i>Ltd</i>",
        language="de",
    )
    async with serving(tmp_path, a_catalog("api", page=page)) as server:
        answer = await server.client.get("/")
        html, policy = answer.text, answer.headers["content-security-policy"]
        assert "img-src 'self' data: https://acme.example/logo.svg?a=1%3Bscript-src%20%2A;" in policy
        assert policy.count("script-src 'self'") == 1
        assert '<img src="https://acme.example/logo.svg?a=1;script-src *" alt="" height="26">' in html
        assert '<a href="https://acme.example/imprint" rel="noopener">Imprint &lt;b&gt;</a>' in html
        assert "Acme &lt;i&gt;Ltd&lt;/i&gt;" in html
        assert '<html lang="de"' in html
        light, dark = shades("#ffe600")
        style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
        assert style and f"--link:light-dark({light},{dark})" in style[1]
        assert base64.b64encode(sha256(style[1].encode()).digest()).decode() in policy

        server.hear(a_catalog_change(a_catalog("api", page=replace(page, accent=None, logo=None)), NOON))
        answer = await server.client.get("/")
        assert "acme.example/logo" not in answer.headers["content-security-policy"] + answer.text


@given(st.integers(0, 0xFFFFFF))
def test_any_accent_can_be_read_on_either_ground(colour: int) -> None:
    for shade, ground in zip(shades(f"#{colour:06x}"), ((0xEF, 0xF2, 0xF5), (0x11, 0x17, 0x1E)), strict=True):
        red, green, blue = bytes.fromhex(shade[1:])
        assert contrast((red, green, blue), ground) >= 4.5


def test_an_accent_that_can_be_read_stays_as_it_is() -> None:
    assert shades("#0b5bb0")[0] == "#0b5bb0"
    assert shades("#9db6ff")[1] == "#9db6ff"


async def test_an_incident_is_told_in_the_language_of_the_page_and_in_its_markdown(server: Server) -> None:
    said = Update(
        n=1, at=after(-60), status="identified", words="A **disk** is full. <script>alert(1)</script>"
    )
    incident = Incident(
        id="inc_1",
        title="Payments <fail>",
        status=IncidentStatus.IDENTIFIED,
        impact=Impact.CRITICAL,
        since=after(-600),
        updated=after(-60),
        next_update_by=after(600),
        components=(Affected("api"),),
        updates=(said,),
    )
    server.hear(IncidentChange(at=NOON, incident=incident))
    html = (await server.client.get("/?lang=de")).text
    assert 'data-id="inc_1" data-kind="incident" data-status="identified" data-impact="critical"' in html
    assert '<a class="title" href="/incidents/inc_1?lang=de">Payments &lt;fail&gt;</a>' in html
    assert '<b class="stage">Ursache gefunden</b>' in html
    assert 'data-label="nächste Meldung bis"' in html
    assert "A <strong>disk</strong> is full." in html
    assert "alert(1)</script>" not in html
