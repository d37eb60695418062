"""The file rules what it names, the database the rest; what runs is both, and can be written as one file."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from app.db.catalog import read_catalog, write_catalog, write_setting
from app.db.change import Changes
from app.db.definitions import write_definitions
from app.db.engine import Database
from app.domain.actor import Actor
from app.domain.events import CatalogChange
from app.domain.merge import (
    Edit,
    beside,
    merged,
    ruled_by_file,
    with_all_of,
    with_component,
    with_group,
    with_page,
    with_rule,
    without_component,
    without_group,
    without_page,
    without_rule,
)
from app.domain.monitor import Catalog, Component, Monitor, Page
from app.domain.refused import Refused
from app.domain.rule import Rule
from app.model import MOST_NOTED, Model
from app.statusfile.catalog import parse, read
from app.statusfile.difference import readable, steps
from app.statusfile.writing import write
from tests.make import NOON
from tests.rows import rows

pytest_plugins = ["tests.databases"]

MEI = Actor("user", "mei", "192.0.2.7")
FILE = """\
page: {name: Acme}
groups: [{name: Payments, components: [{name: Payments API, monitors: [{http: https://a.example}]}]}]
components:
  - {name: Website, monitors: [{http: https://a.example, slug: site}]}
pages: [{slug: inner, groups: [Payments]}]
"""


def a_component(slug: str, *monitors: Monitor, group: str | None = None) -> Component:
    return Component(slug=slug, name=slug.title(), group=group, monitors=monitors)


def an_http(key: str, url: str = "https://a.example", **more: object) -> Monitor:
    return Monitor(key=key, kind="http", target=url, **more)  # type: ignore[arg-type]


SHOP = a_component("shop", an_http("shop/http"))
CART = a_component("cart", group="Payments")
DEFINED = Catalog(
    groups=("Mine",),
    components=(SHOP, CART, a_component("mine", group="Mine")),
    pages=(Page(slug="own", name="Own", components=("shop", "website")),),
    rules=(Rule(name="Outage", components=("shop",)),),
)


@pytest.fixture
def model(database: Database) -> Model:
    model = Model(Changes(database))
    model.take(read(FILE))
    return model


async def change(model: Model, edit: Edit) -> list[str]:
    return [each.verb for each in await model.change(MEI, NOON, edit)]


def test_what_runs_is_the_file_and_behind_it_the_database() -> None:
    running = merged(parse(FILE), DEFINED)
    assert running.groups == ("Payments", "Mine")
    slugs = ["payments-api", "cart", "mine", "website", "shop"]
    assert [component.slug for component in running.components] == slugs
    assert [page.slug for page in running.pages] == ["inner", "own"]
    assert running.page.name == "Acme"
    assert parse(write(running)) == running


def test_the_file_wins_whatever_the_database_says() -> None:
    other = Catalog(
        page=Page(name="Other"),
        components=(a_component("website"), a_component("shop", an_http("site"), an_http("shop/http"))),
        pages=(Page(slug="inner", name="Other"),),
    )
    running = merged(parse(FILE), other)
    assert (running.page.name, running.pages[0].name) == ("Acme", "Status")
    assert [monitor.key for monitor in running.monitors()] == ["payments-api/http", "site", "shop/http"]


def test_a_file_that_closes_a_loop_takes_the_databases_dependencies_away() -> None:
    file = "components: [{name: A, monitors: [{http: 'https://a.example', depends_on: b}]}, {name: B}]"
    with pytest.raises(ValueError, match="no component or monitor"):
        parse(file.replace(", {name: B}", ""))
    behind = an_http("b/http", depends_on=("a",))
    lone = replace(parse(file), components=parse(file).components[:1])
    running = merged(lone, Catalog(components=(a_component("b", behind),)))
    assert [monitor.depends_on for monitor in running.monitors()] == [("b",), ()]


def test_who_has_no_file_knows_what_it_rules() -> None:
    file = parse(FILE)
    assert ruled_by_file(merged(file, DEFINED), DEFINED) == merged(file, Catalog())
    assert merged(file, beside(merged(file, DEFINED), file)) == merged(file, DEFINED)


async def test_what_is_defined_is_stored_noted_and_told_as_one(model: Model, database: Database) -> None:
    assert await change(model, with_all_of(DEFINED, prune=False)) == [
        *("page.create", "rule.create", "group.create"),
        *("component.create", "component.create", "component.create"),
    ]
    again = Model(Changes(database))
    assert await again.read() and again.defined == DEFINED
    [outbox] = await rows(database, "SELECT event FROM outbox")
    event = msgspec.json.decode(outbox["event"], type=CatalogChange)
    assert event.catalog == model.running() and event.revision == model.running().revision
    noted = await rows(database, "SELECT kind, name, verb, subject FROM audit_log ORDER BY id")
    assert noted[3] == {
        "kind": "user",
        "name": "mei",
        "verb": "component.create",
        "subject": "component/shop",
    }
    assert await change(model, with_all_of(DEFINED, prune=False)) == []
    assert len(await rows(database, "SELECT id FROM outbox")) == 1


async def test_each_thing_can_be_replaced_and_deleted(model: Model) -> None:
    await change(model, with_all_of(DEFINED, prune=False))
    better = replace(SHOP, name="The Shop")
    assert await change(model, with_component(better)) == ["component.replace"]
    assert await change(model, without_component("cart")) == ["component.delete"]
    assert await change(model, with_group("Later")) == ["group.create"]
    assert await change(model, without_group("Mine")) == ["component.replace", "group.delete"]
    assert await change(model, with_page(Page(slug="own", name="Ours"))) == ["page.replace"]
    assert await change(model, without_page("own")) == ["page.delete"]
    assert await change(model, with_rule(Rule(name="Outage", after=60.0))) == ["rule.replace"]
    assert await change(model, without_rule("Outage")) == ["rule.delete"]
    assert model.defined == Catalog(groups=("Later",), components=(better, a_component("mine")))
    verbs = await change(model, with_all_of(Catalog(), prune=True))
    assert verbs == ["group.delete", "component.delete", "component.delete"]


@pytest.mark.parametrize(
    "edit, sentence",
    [
        (
            with_component(a_component("website")),
            "component website is ruled by the file statuswire.yaml, line 4",
        ),
        (
            with_component(a_component("x", an_http("site"))),
            "monitor site is ruled by the file statuswire.yaml",
        ),
        (with_page(Page(slug="inner")), "page inner is ruled by the file statuswire.yaml, line 5"),
        (with_page(Page(name="Mine")), "page at / is ruled by the file statuswire.yaml, line 1"),
    ],
)
async def test_what_the_file_names_is_not_changed_here(
    model: Model, database: Database, edit: Edit, sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        await change(model, edit)
    assert sentence in str(refused.value) and refused.value.kind == "conflict"
    assert await rows(database, "SELECT * FROM definitions") == []
    assert await rows(database, "SELECT * FROM outbox") == []


@pytest.mark.parametrize(
    "component, sentence",
    [
        (a_component("Not A Slug"), "must be 1 to 64 of a-z"),
        (a_component("x", an_http("x/http", "ftp://a.example")), "`http` must be a whole URL"),
        (a_component("x", an_http("x/http", every=0.1)), "is too short: at least 1s"),
        (a_component("x", an_http("x/http", depends_on=("nobody",))), "No component or monitor is called"),
        (a_component("x", Monitor(key="x/none", kind="none", target="x")), "cannot be understood"),
        (replace(a_component("x"), description="a\nb"), "another form in a config file"),
    ],
)
async def test_what_no_file_could_say_is_not_defined(
    model: Model, component: Component, sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        await change(model, with_component(component))
    assert sentence in str(refused.value) and str(refused.value).endswith(".")


async def test_a_command_without_the_file_takes_nothing_away(database: Database) -> None:
    running = parse(FILE)
    async with database.writing() as transaction:
        await write_catalog(transaction, Catalog(), running)
    model = Model(Changes(database))
    await change(model, with_component(SHOP))
    [outbox] = await rows(database, "SELECT event FROM outbox")
    told = msgspec.json.decode(outbox["event"], type=CatalogChange).catalog
    assert [each.slug for each in told.components] == ["payments-api", "website", "shop"]
    with pytest.raises(Refused, match=r"component website is ruled by the file statuswire\.yaml:"):
        await change(model, with_component(a_component("website")))


async def test_secrets_are_in_no_audit_log(model: Model, database: Database) -> None:
    headers = {"Referer": "https://a/?key=canary", "Accept": "text/plain"}
    await change(model, with_component(a_component("x", an_http("x/http", options={"headers": headers}))))
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzYWx0$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
    await change(model, with_page(Page(slug="p", access="password", password_hash=hashed)))
    noted = str(await rows(database, "SELECT * FROM audit_log"))
    assert "canary" not in noted and "c29tZX" not in noted and "text/plain" in noted


async def test_what_an_older_server_let_in_hinders_no_other_change(model: Model, database: Database) -> None:
    """It took secrets that are written out. Each can be set right by itself, and no new one comes in."""
    clear = {"headers": {"Authorization": "Bearer abc"}}
    old = [a_component(slug, an_http(f"{slug}/http", options=clear)) for slug in ("one", "two")]
    async with database.writing() as transaction:
        await write_definitions(transaction, Catalog(), Catalog(components=tuple(old)))
    assert await change(model, with_component(SHOP))
    again = a_component("new", an_http("new/http", options=clear))
    with pytest.raises(Refused, match="must be"):
        await change(model, with_component(again))
    right = a_component("one", an_http("one/http", options={"headers": {"Authorization": "Bearer ${T}"}}))
    assert await change(model, with_component(right))
    with pytest.raises(Refused, match="must be"):
        await change(model, with_component(old[0]))


async def test_a_change_of_the_file_stands_in_the_audit_log_once(database: Database) -> None:
    """However many servers read it, and however often one starts."""

    async def read_by_two(text: str) -> None:
        servers = [Model(Changes(database)) for _ in range(2)]
        for server in servers:
            server.take(read(text))
        await asyncio.gather(*(server.note_file(NOON) for server in servers))

    hook = "{name: Shop, monitors: [{http: 'https://a.example/?key=canary'}]}"
    await read_by_two(FILE)
    await read_by_two(FILE)
    await read_by_two(FILE.replace("components:\n", f"components:\n  - {hook}\n"))
    await read_by_two(FILE)
    noted = await rows(database, "SELECT * FROM audit_log ORDER BY id")
    assert [(row["kind"], row["name"], row["verb"]) for row in noted] == [
        ("file", "statuswire.yaml", "file.change")
    ] * 3
    first, came, went = noted
    assert set(json.loads(first["after"])) >= {"page/", "component/website", "page/inner"}
    assert json.loads(came["before"]) == {"component/shop": None} == json.loads(went["after"])
    assert json.loads(came["after"]) == json.loads(went["before"])
    assert "Shop" in came["after"] and "canary" not in str(noted)
    many = ", ".join(f"{{name: C{n}}}" for n in range(150))
    await read_by_two(FILE.replace("components:\n", f"components: [{many}]\nx-old:\n"))
    *_, last = await rows(database, "SELECT after FROM audit_log ORDER BY id")
    assert json.loads(last["after"])["others"] == 151 - MOST_NOTED


async def test_a_file_that_a_newer_build_has_noted_ends_no_server(database: Database) -> None:
    async with database.writing() as transaction:
        await write_setting(transaction, "file noted", 'of-tomorrow {"page":{"access":"by-invitation"}}')
    model = Model(Changes(database))
    model.take(read(FILE))
    await model.note_file(NOON)
    [noted] = await rows(database, "SELECT after FROM audit_log")
    assert "component/website" in json.loads(noted["after"])


async def test_everything_knows_where_it_comes_from(model: Model) -> None:
    await change(model, with_component(SHOP))
    origins = model.origins()
    assert origins["component", "website"] == "statuswire.yaml:4"
    assert origins["monitor", "site"] == "statuswire.yaml:4"
    assert origins["group", "Payments"] == "statuswire.yaml:2"
    assert origins["page", ""] == "statuswire.yaml:1"
    assert origins["component", "shop"] == origins["monitor", "shop/http"] == "database"


async def test_hidden_components_and_pages_are_read_as_they_were_written(database: Database) -> None:
    catalog = merged(parse(FILE), replace(DEFINED, components=(replace(SHOP, hidden=True), CART)))
    async with database.writing() as transaction:
        await write_catalog(transaction, Catalog(), catalog)
    async with database.reading() as transaction:
        assert await read_catalog(transaction) == catalog


def test_a_plan_is_read_by_people(tmp_path: Path) -> None:
    old = Catalog(components=(SHOP, a_component("gone")))
    better = replace(SHOP, name="The Shop", monitors=(an_http("shop/http", every=60.0), an_http("second")))
    assert readable(steps(old, Catalog(groups=("G",), components=(better,)))) == [
        "+ group G",
        "~ component shop",
        "    name: Shop -> The Shop",
        "    ~ monitor http: https://a.example",
        "        every: 1m",
        "    + monitor second",
        "        http: https://a.example",
        "        slug: second",
        "- component gone",
        "1 to create, 1 to change, 1 to delete.",
    ]
    assert readable([]) == ["Nothing would change."]
