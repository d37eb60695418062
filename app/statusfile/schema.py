"""The JSON Schema of statuswire.yaml, by which an editor completes and marks while one writes.

It is made of the same tables as the reader goes by, so a new kind needs nothing more. It says less than
`config check` does: what goes together and what is named twice, only that one knows.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.domain import words
from app.domain.monitor import Expect
from app.statusfile.kinds import KINDS, Word, own_words, words_of
from app.statusfile.mapping import COMMON, FITS, KEYS
from app.statusfile.pages import ACCESS

Schema = dict[str, Any]

_SLUG: Final = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
_DURATION: Final = r"^[0-9]{1,15}(\.[0-9]{1,9})?(ms|s|m|h|d)$"


def schema() -> Schema:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "statuswire.yaml",
        "description": "What a status page shows and what is probed.",
        **_mapping("the file", ()),
        "patternProperties": {"^x-": {"description": "Passed over: a place for anchors."}},
        "definitions": {
            "group": _mapping("a group", ("name",)),
            "component": _mapping("a component", ("name",)),
            "page": _mapping("a page", ("slug",)),
            "rule": _mapping("a rule", ("name",)),
            "link": _mapping("a link", ("name", "url")),
            "monitor": {
                "description": "Has exactly one key that is the name of a kind, which says what is probed.",
                "oneOf": [{"$ref": f"#/definitions/monitor-{kind}"} for kind in KINDS],
            },
            **{f"monitor-{kind}": _kind(kind) for kind in KINDS},
        },
    }


def schema_text() -> str:
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


def _mapping(what: str, needed: Iterable[str]) -> Schema:
    return _object({key: _OF_THE_FILE[what, key] for key in KEYS[what]}, needed)


def _object(properties: Schema, needed: Iterable[str] = ()) -> Schema:
    said: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return said | ({"required": [*needed]} if needed else {})


def _kind(kind: str) -> Schema:
    struct = KINDS[kind]
    said = (sys.modules[struct.__module__].__doc__ or kind).strip().split("\n\n")[0].replace("\n", " ")
    fitting = [key for key in COMMON if kind in FITS.get(key, tuple(KINDS))]
    common = {key: _OF_A_MONITOR[key] for key in fitting if key != "expect"}
    if "expect" in fitting:
        expected = {key: _OF_EXPECT[key] for key in Expect.__struct_fields__ if kind in FITS[key]}
        expected |= _words(own_words(kind, expected=True))
        common["expect"] = _object(expected) | {"description": "What a good answer looks like."}
    target = _form(struct.target) | {"description": f"{said} {_form(struct.target)['description']}"}
    own = _words(own_words(kind, expected=False))
    return _object({kind: target, **common, **own}, [kind]) | {"description": said}


def _words(known: Iterable[Word]) -> Schema:
    return {word.name: _word(word) for word in known}


def _word(word: Word) -> Schema:
    if word.inner is not None:
        return _struct(word.inner)
    assert word.form is not None
    return _form(word.form)


def _struct(struct: type[Struct]) -> Schema:
    known = words_of(struct)
    return _object(_words(known), [word.name for word in known if word.required])


def _form(form: words.Form) -> Schema:
    return _FORMS[type(form)](form)


def _text(longest: int, description: str, **more: Any) -> Schema:
    # An editor takes `no` for a truth value and 1.10 for a number; the reader takes them as they are written.
    kinds = ["string", "number", "boolean"]
    return {"type": kinds, "maxLength": longest, "description": description, **more}


def _pattern(pattern: str, description: str, **more: Any) -> Schema:
    return {"type": "string", "pattern": pattern, "description": description, **more}


def _choice(form: words.Choice) -> Schema:
    spelled = [each for one in form.among for each in (one, one.lower(), one.upper())]
    said: list[Any] = [int(each) if each.isdecimal() else each for each in spelled]
    return {"enum": list(dict.fromkeys(said)), "description": f"One of {', '.join(form.among)}."}


def _between(kind: str, least: float, most: float, description: str) -> Schema:
    return {"type": kind, "minimum": least, "maximum": most, "description": description}


def _one_or_more(item: Schema, description: str) -> Schema:
    many = {"type": "array", "items": item, "minItems": 1, "maxItems": 100}
    return {"anyOf": [item, many], "description": description}


def _list_of(definition: str, description: str) -> Schema:
    items = {"$ref": f"#/definitions/{definition}"}
    return {"type": "array", "items": items, "description": description}


_KEY_OF_MONITOR: Final = _pattern("^[a-z0-9]([a-z0-9/-]{0,98}[a-z0-9])?$", "A slug, or component/kind.")
_HEADERS: Final[Schema] = {
    "type": "object",
    "additionalProperties": _text(4096, "May hold ${NAME}."),
    "description": "Names and values; a value may hold ${NAME} from the workers' environment.",
}

_FORMS: Final[Mapping[type[words.Form], Callable[[Any], Schema]]] = {
    words.Text: lambda form: _text(
        form.longest,
        f"A text of up to {form.longest:,} characters"
        + (", in which a worker fills in ${NAME} from its environment." if form.variables else "."),
    ),
    words.Secret: lambda _: _pattern(
        r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", "${NAME}, which each worker fills in from its own environment."
    ),
    words.Flag: lambda _: {"enum": [True, False, "yes", "no", "on", "off"], "description": "yes or no."},
    words.Choice: _choice,
    words.Whole: lambda form: _between(
        "integer", form.least, form.most, f"A whole number from {form.least} to {form.most}."
    ),
    words.Number: lambda form: _between(
        "number", form.least, form.most, f"{form.what.capitalize()} from {form.least:g} to {form.most:g}."
    ),
    words.Percent: lambda _: _pattern(r"^[0-9]{1,3}(\.[0-9]{1,3})? ?%$", "A share, such as 20%."),
    words.Seconds: lambda form: _pattern(
        _DURATION, f"A duration from {form.shortest} to {form.longest}, such as 500ms, 30s, 5m, 1h or 7d."
    ),
    words.Span: lambda form: _pattern(
        "^[0-9]{0,9} ?- ?[0-9]{0,9}$", "From and to, such as 500-20000; either end may be left out."
    ),
    words.Headers: lambda _: _HEADERS,
    words.Cron: lambda _: _pattern(
        r"^\s*\S+(\s+\S+){4}\s*$", "The five fields of a crontab, such as 30 3 * * 1-5."
    ),
    words.Zone: lambda _: _text(100, "A time zone, such as Europe/Berlin."),
    words.Slug: lambda _: _pattern(_SLUG, "1 to 64 of a-z, 0-9 and inner hyphens."),
    words.Url: lambda form: _pattern(
        f"^({'|'.join(form.schemes)})://", "A whole URL, without user and password; it may hold ${NAME}."
    ),
    words.Host: lambda _: _text(300, "A host name or an IP address."),
    words.Place: lambda form: _text(300, _place(form)),
    words.Question: lambda _: _text(300, "A name, or name@server to ask that server."),
    words.Members: lambda _: {
        "type": "array",
        "items": _KEY_OF_MONITOR,
        "minItems": 2,
        "description": "The keys of other monitors, such as [web/http, web/tcp].",
    },
    words.Share: lambda _: _pattern("^([Aa]ny|[Aa]ll|[0-9]{1,3} ?%)$", "any, all, or a share such as 60%."),
    words.File: lambda _: _pattern("^/", "The whole path of a file on the workers' machines."),
}


def _place(form: words.Place) -> str:
    port = "" if form.port is None else f"; the port is {form.port} if none is given"
    return f"host:port{port}. An IPv6 address stands in brackets, all in quotes."


_NAME: Final = "Up to 80 characters."
_OF_A_PAGE: Final[Mapping[str, Schema]] = {
    "slug": _pattern(_SLUG, "Its address: /p/slug. 1 to 64 of a-z, 0-9 and inner hyphens."),
    "name": _text(80, f"What the page is called. {_NAME}"),
    "url": _pattern("^https?://", "Where people find the page: a whole http or https URL."),
    "time_zone": _pattern("^[A-Za-z]", "A name such as Europe/Berlin or UTC."),
    "hosts": _one_or_more(_text(253, "A host name."), "The names under which visitors find it at /."),
    "groups": {
        "type": ["array", "string"],
        "items": _text(80, "The name of a group."),
        "description": "The groups on it, in its order. Without these and `components` it shows everything "
        "that is not hidden.",
    },
    "components": {
        "type": ["array", "string"],
        "items": _pattern(_SLUG, "The slug of a component."),
        "description": "The components on it besides those of `groups`, also hidden ones.",
    },
    "access": _choice(ACCESS) | {"description": "Who may see it: public, password or signed-in."},
    "password_hash": _pattern(r"^\$argon2id\$", "What `statuswire config password` prints."),
    "language": _pattern("^[a-z]{2,3}(-|$)", "The tag of a language, such as en or pt-BR."),
    "logo": _pattern("^https://", "The https URL of a picture."),
    "accent": _pattern("^#[0-9a-fA-F]{6}$", "A colour of six digits in quotes, such as '#0b6bcb'."),
    "links": _list_of("link", "Links in its footer."),
    "footer": _text(300, "A sentence in its footer."),
}
_OF_THE_FILE: Final[Mapping[tuple[str, str], Schema]] = {
    ("the file", "page"): _object({key: _OF_A_PAGE[key] for key in KEYS["`page`"]})
    | {"description": "The page at /."},
    ("the file", "pages"): _list_of("page", "Pages with an address of their own."),
    ("the file", "groups"): _list_of("group", "Groups of components, in the order in which they are shown."),
    ("the file", "components"): _list_of("component", "Components without a group."),
    ("the file", "incidents"): _list_of("rule", "Rules by which outages open incidents, and close them."),
    ("a rule", "name"): _text(80, f"No two rules have the same. {_NAME}"),
    ("a rule", "after"): _pattern(_DURATION, "How long a component must be out, from 1s to 7d."),
    ("a rule", "settle"): _pattern(_DURATION, "How long it must be well again, from 1s to 1d."),
    ("a rule", "components"): _one_or_more(
        _pattern(_SLUG, "The slug of a component."), "Which components; all, if none are given."
    ),
    ("a rule", "title"): _text(80, "Of the incident; {components} and {status} are filled in."),
    ("a rule", "words"): _text(1000, "What the incident says first."),
    ("a rule", "closing"): _text(1000, "What it says when all is well again."),
    ("a group", "name"): _text(80, f"No two groups have the same. {_NAME}"),
    ("a group", "components"): _list_of("component", "The components of the group, in their order."),
    ("a component", "name"): _text(80, f"What visitors see. {_NAME}"),
    ("a component", "slug"): _pattern(
        _SLUG, "History belongs to it, so give one before you rename. Made from the name if left out."
    ),
    ("a component", "description"): _text(300, "Up to 300 characters, shown below the name."),
    ("a component", "hidden"): _form(words.Flag())
    | {"description": "On no page but those that name it by its slug."},
    ("a component", "depends_on"): _one_or_more(_KEY_OF_MONITOR, "What all its monitors lie behind."),
    ("a component", "monitors"): _list_of("monitor", "What is probed for it."),
    ("a link", "name"): _text(80, _NAME),
    ("a link", "url"): _pattern("^https?://", "A whole http or https URL."),
    **{("a page", key): its for key, its in _OF_A_PAGE.items()},
}
_OF_A_MONITOR: Final[Mapping[str, Schema]] = {
    "every": _pattern(_DURATION, "How often it is probed, from 1s to 7d. 30s unless given, for some longer."),
    "timeout": _pattern(_DURATION, "From 1ms to 60s and not longer than `every`. 5s unless given."),
    "retries": _between("integer", 0, 10, "How many failures in a row are forgiven. 1 unless given."),
    "recoveries": _between("integer", 1, 10, "How many good answers in a row it takes to be up again."),
    "regions": _one_or_more(
        _text(32, "The name of a region."), "Which regions probe it; down takes a majority of them."
    ),
    "depends_on": _one_or_more(_KEY_OF_MONITOR, "What it lies behind."),
    "slug": _pattern(_SLUG, "Its key, to which history belongs. Without one it is component/kind."),
}
_OF_EXPECT: Final[Mapping[str, Schema]] = {
    "status": _one_or_more(
        {"type": ["string", "integer"], "description": "200, 200-299 or 200,204."}, "Which statuses are good."
    ),
    "body": _text(502, "A text that the answer contains, or a regular expression between slashes (RE2)."),
    "json": {
        "type": "object",
        "description": "Paths such as $.name, and the value that must stand there.",
    },
    "header": {
        "type": "object",
        "additionalProperties": _text(1000, "A text that the value contains."),
        "description": "Names of headers, and a text that the value of each contains.",
    },
    "slower_than": _pattern(_DURATION, "A right answer that takes longer is degraded."),
    "certificate_days": _between("number", 0, 3650, "A certificate that ends sooner is degraded: days."),
    "answer": _one_or_more(_text(1000, "An answer."), "Each of these must be among the answers that came."),
}
