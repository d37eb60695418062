"""What may be done, as words: each route of the server names one of them, and each token holds some.

`incidents:read` is to see all there is of incidents, `incidents:write` to change them too, and `admin` is
everything. Who may sign in or use a token, and what was changed by whom, is for admins alone: whoever could
make a token for more than they may do themselves would have it.
"""

from collections.abc import Collection
from typing import Final

from app.domain.people import Role

PUBLIC: Final = "public"
# A person who is signed in, whatever their role: for what concerns themselves. No token holds it.
PERSON: Final = "person"
ADMIN: Final = "admin"
RESOURCES: Final = (
    *("components", "groups", "incidents", "maintenances", "monitors", "pages", "templates", "walls"),
)
READ: Final = tuple(f"{resource}:read" for resource in RESOURCES)
WRITE: Final = tuple(f"{resource}:write" for resource in RESOURCES)
# What a token may hold, and beside them what a route may name.
SCOPES: Final = (*READ, *WRITE, ADMIN)
KNOWN: Final = frozenset((*SCOPES, PUBLIC, PERSON))

OF_ROLE: Final = {
    Role.VIEWER: frozenset((PERSON, *READ)),
    Role.OPERATOR: frozenset((PERSON, *READ, *WRITE)),
    Role.ADMIN: frozenset((PERSON, ADMIN)),
}


def covers(held: Collection[str], needed: str) -> bool:
    """Whether who holds these may do that. Who may write may read."""
    if needed in held:
        return True
    if needed == PERSON or needed not in SCOPES:
        return False
    return ADMIN in held or needed.removesuffix(":read") + ":write" in held
