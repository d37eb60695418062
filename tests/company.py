"""A company with twenty-six components, some of which are not well, and a past of a hundred days: what pages
look like once they have been in use.
"""

import random
from datetime import UTC, datetime, timedelta

from app.domain.events import CatalogChange, StateChange
from app.domain.instant import from_seconds
from app.domain.standing import Standing, State
from app.domain.status import Status
from app.statusfile.disk import load
from tests.browser import STANDINGS, Site

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
        now = from_seconds(datetime.now(UTC).timestamp())
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
