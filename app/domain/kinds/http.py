"""http: a request is answered as expected."""

from typing import Annotated, ClassVar

from msgspec import Struct, field

from app.domain.words import EXPECTED, Choice, Form, Headers, Secret, Securing, Span, Text, Url, Whole

_BODILESS = ("GET", "HEAD")


class Basic(Struct, frozen=True, omit_defaults=True):
    user: Annotated[str, Text(variables=True)]
    password: Annotated[str, Secret()]


class OAuth2(Struct, frozen=True, omit_defaults=True):
    """The grant for machines: client credentials."""

    url: Annotated[str, Url()]  # where tokens are given
    client: Annotated[str, Text(variables=True)]
    secret: Annotated[str, Secret()]
    scope: Annotated[str, Text()] = ""


class Auth(Struct, frozen=True, omit_defaults=True):
    """One of them."""

    basic: Basic | None = None
    bearer: Annotated[str, Secret()] = ""
    oauth2: OAuth2 | None = None


class Http(Securing, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    target: ClassVar[Form] = Url()
    expects = ("status", "body", "json", "header", "slower_than", "certificate_days")

    method: Annotated[str, Choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))] = "GET"
    headers: Annotated[dict[str, str], Headers()] = field(default_factory=dict)
    send: Annotated[str, Text(longest=65536, lines=True, variables=True)] = ""
    auth: Auth | None = None
    http2: Annotated[str, Choice(("no", "yes", "only"))] = "no"  # yes: if the server speaks it
    redirects: Annotated[int, Whole(0, 10)] = 5  # how many are followed; one more fails, unless it is 0
    proxy: Annotated[str, Url(("http",))] = ""
    proxy_auth: Basic | None = None
    size: Annotated[tuple[int, int] | None, Span(1 << 20), EXPECTED] = None  # bytes of the body, decoded

    def clash(self, target: str) -> tuple[str, str] | None:
        if self.send and self.method in _BODILESS:
            return "send", f"`send` does not go with {self.method}: add `method: POST`, or take it out"
        if self.proxy_auth is not None and not self.proxy:
            return "proxy_auth", "`proxy_auth` belongs to a `proxy`: give that too"
        if self.auth is not None:
            if (self.auth.basic is not None) + bool(self.auth.bearer) + (self.auth.oauth2 is not None) != 1:
                return "auth", "`auth` must be one of `basic`, `bearer` and `oauth2`: keep one of them"
            if any(name.lower() == "authorization" for name in self.headers):
                return "auth", "`auth` and the header Authorization are the same thing: keep one of the two"
        return super().clash(target)
