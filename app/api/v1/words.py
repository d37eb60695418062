"""How what is sent must be written: forms that several resources share, as the description tells them too."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from app.security.accounts import EMAIL

# One line, with something in it, and nothing that no database or terminal takes.
_NAME = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=_NAME)]
Slug: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,80}$")]
Email: TypeAlias = Annotated[str, Meta(max_length=254, pattern=EMAIL)]
