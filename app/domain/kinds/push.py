"""push: a heartbeat came in time, and said that all is well. Nothing is probed."""

from typing import Annotated, ClassVar

from app.domain.words import Cron, Form, Seconds, Slug, Words, Zone


class Push(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Slug()
    every: ClassVar[float | None] = 86400.0
    probed: ClassVar[bool] = False
    expects: ClassVar[tuple[str, ...]] = ()

    cron: Annotated[str, Cron()] = ""  # instead of `every`
    time_zone: Annotated[str, Zone()] = ""  # of `cron`; UTC if not given
    grace: Annotated[float, Seconds("0s", "7d")] = 0.0
    max_runtime: Annotated[float, Seconds("0s", "7d")] = 0.0  # from a start to the end of that run; 0: any

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.time_zone and not self.cron:
            return "time_zone", "`time_zone` belongs to a `cron`: give that too"
        return None
