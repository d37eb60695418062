"""push: a heartbeat came in time. Nothing is probed."""

from typing import Annotated, ClassVar

from app.domain.words import Form, Seconds, Slug, Words


class Push(Words, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Slug()
    probed: ClassVar[bool] = False
    expects: ClassVar[tuple[str, ...]] = ()

    grace: Annotated[float, Seconds("0s", "7d")] = 0.0
