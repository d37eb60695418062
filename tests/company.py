"""A company with twenty-six components, some of which are not well, and a past of a hundred days: what pages
look like once they have been in use.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Self

from app.db.change import Actor, Changes
from app.db.engine import connect
from app.db.incidents import Incidents
from app.domain.events import CatalogChange, Sample, Samples, StateChange
from app.domain.incident import Affected, NewIncident, NewUpdate
from app.domain.instant import from_seconds
from app.domain.result import Outcome
from app.domain.standing import Standing, State
from app.domain.status import Status
from app.outbox import empty
from app.statusfile.disk import load
from tests.browser import STANDINGS, Site
from tests.conftest import eventually
from tests.rows import config_for

COMPANY = {
    "Storefront": ["Website", "Checkout", "Product images", "Customer accounts"],
    "Payments": ["Payments API", "Card processing", "SEPA transfers", "Payouts", "Fraud screening"],
    "Platform API": ["REST API", "GraphQL", "Search API", "Webhooks", "OAuth sign-in"],
    "Regions": ["Frankfurt", "Amsterdam", "Virginia", "Singapore"],
    "Back office": ["Dashboard", "Reports", "Exports", "Help centre"],
    "Communication": ["E-mail", "SMS", "Push"],
}
DESCRIPTIONS = {
    "Payments API": "What shops call to charge a card",
    "Search API": "Full-text search over products and orders",
    "Webhooks": "Calls to your own servers when an order changes",
}
PROBLEMS = {
    "payments-api": (Status.MAJOR, 38 * 60),
    "search-api": (Status.DEGRADED, 96 * 60),
    "webhooks": (Status.PARTIAL, 190),
}


class Remembered(Site):
    """A company that has been watched for a hundred days, and was not always well."""

    async def prepare(self) -> None:
        dice = random.Random(7)
        now = _now()
        start = now - timedelta(days=100)
        catalog = load(self.web.folder / "statuswire.yaml")
        await self.announce([CatalogChange(at=start, revision=catalog.revision, catalog=catalog)])
        for slug in self.slugs:
            first = start + timedelta(days=60 if slug == "graphql" else 0)
            for at, status in self._lived(slug, first, now, dice):
                await self.announce(self._changes(slug, status, at))
                self.status[slug] = status

    def _lived(
        self, slug: str, first: datetime, now: datetime, dice: random.Random
    ) -> list[tuple[datetime, Status]]:
        # Some word at least each ten days, or nobody would know what was in between.
        said = [(first + timedelta(days=day), Status.OPERATIONAL) for day in range(0, 100, 10)]
        for day in dice.sample(range(2, 88), dice.choice([0, 1, 1, 2, 3, 5])):
            began = now - timedelta(days=90 - day, minutes=dice.randrange(600))
            ended = began + timedelta(minutes=int(dice.lognormvariate(3.3, 1.1)) + 2)
            [status] = dice.choices([Status.DEGRADED, Status.PARTIAL, Status.MAJOR], [6, 3, 1.5])
            said += [(began, status), (ended, Status.OPERATIONAL)]
        if slug in PROBLEMS:
            status, ago = PROBLEMS[slug]
            said.append((now - timedelta(seconds=ago), status))
        return sorted((at, status) for at, status in said if first <= at < now)

    def _changes(self, slug: str, status: Status, at: datetime) -> list[StateChange]:
        return [
            StateChange(
                trace="",
                at=at,
                worker="test",
                was=State.UNKNOWN,
                standing=Standing(monitor=f"{slug}/{kind}", region="local", state=state, since=at),
            )
            for kind, state in zip(("http", "tcp"), STANDINGS[status], strict=True)
        ]


class Troubled(Remembered):
    """What the figures of the page are reached on: twenty-six components with ninety days each, one incident
    and three charts."""

    def __init__(self) -> None:
        super().__init__(COMPANY | {"Messages": ["Chat"]}, every="7d", descriptions=DESCRIPTIONS)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await self._post()
            await self.announce(_measured())
            await eventually(self._whole, within=30)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _post(self) -> None:
        changes, mei = Changes(await connect(config_for(self.web.database_url))), Actor("user", "mei")
        new = NewIncident(
            title="Card payments fail at checkout",
            words="Since 14:02 **most** card payments are declined. We are looking into it.",
            components=(Affected("payments-api", Status.MAJOR), Affected("card-processing")),
        )
        incident = await Incidents(changes).post(mei, _now(), new)
        said = NewUpdate(words="Our acquirer has confirmed a failed deployment and is taking it back.")
        await Incidents(changes).update(mei, _now(), incident.id, said)
        await empty(changes, self.feed)
        await changes.database.close()

    def _whole(self) -> bool:
        drawn = self.web.get("/")[1]
        counts = [drawn.count(text) for text in (b'class="chart"', b"data-slug=", b"data-id=")]
        return counts[0] == 3 and counts[1] == 26 and b"Card payments" in drawn


def _measured() -> list[Samples]:
    """Each five minutes of a day, of the component that each of three groups names first."""
    dice = random.Random(7)
    slugs = {"website": 42.0, "payments-api": 180.0, "rest-api": 95.0}
    return [
        Samples(
            at=at,
            worker="test",
            region="local",
            samples=tuple(
                Sample(f"{slug}/http", at, Outcome.OK, State.UP, round(ms * dice.lognormvariate(0, 0.2), 1))
                for slug, ms in slugs.items()
            ),
        )
        for at in (_now() - timedelta(minutes=5 * n) for n in range(288, 0, -1))
    ]


def _now() -> datetime:
    return from_seconds(datetime.now(UTC).timestamp())
