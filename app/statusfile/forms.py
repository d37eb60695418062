"""For each Form that a word of a kind may have, the reading of it."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import yaml

from app.domain import words
from app.domain.heartbeat import is_cron
from app.domain.kinds.group import as_target
from app.statusfile import targets, values
from app.statusfile.problem import Wrong
from app.statusfile.tree import scalar
from app.statusfile.values import VARIABLE, WRITTEN_OUT, Reading, text_of

_YES: Final = ("yes", "true", "on")
_NO: Final = ("no", "false", "off")


@cache
def reading(form: words.Form) -> Reading[Any]:
    return _READINGS[type(form)](form)


def _text(form: words.Text) -> Reading[str]:
    return lambda node: text_of(node, form.longest, form.lines, form.variables)


def _secret(_: words.Secret) -> Reading[str]:
    def read(node: yaml.Node) -> str:
        text = text_of(node, 1000, variables=True)
        if not VARIABLE.search(text):
            raise Wrong(WRITTEN_OUT)
        return text

    return read


def _flag(_: words.Flag) -> Reading[bool]:
    def read(node: yaml.Node) -> bool:
        text = scalar(node).lower()
        if text not in (*_YES, *_NO):
            raise Wrong("must be yes or no")
        return text in _YES

    return read


def _choice(form: words.Choice) -> Reading[str]:
    by_spelling = {each.lower(): each for each in form.among}

    def read(node: yaml.Node) -> str:
        if (found := by_spelling.get(scalar(node).lower())) is None:
            raise Wrong(f"is none of those it may be: use one of {', '.join(form.among)}")
        return found

    return read


def _whole(form: words.Whole) -> Reading[int]:
    def read(node: yaml.Node) -> int:
        text = scalar(node)
        if not re.fullmatch(r"[0-9]{1,9}", text) or not form.least <= int(text) <= form.most:
            raise Wrong(f"must be a whole number from {form.least} to {form.most}")
        return int(text)

    return read


def _number(form: words.Number) -> Reading[float]:
    def read(node: yaml.Node) -> float:
        text = scalar(node)
        is_number = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text)
        if not is_number or not form.least <= float(text) <= form.most:
            raise Wrong(f"must be {form.what} from {form.least:g} to {form.most:g}, without a unit")
        return float(text)

    return read


def _percent(_: words.Percent) -> Reading[float]:
    def read(node: yaml.Node) -> float:
        match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", scalar(node))
        if not match or float(match[1]) > 100:
            raise Wrong("is no share: write it as 20%, from 0% to 100%")
        return float(match[1])

    return read


def _seconds(form: words.Seconds) -> Reading[float]:
    return values.duration_from(form.shortest, form.longest)


def _span(form: words.Span) -> Reading[tuple[int, int]]:
    def read(node: yaml.Node) -> tuple[int, int]:
        match = re.fullmatch(r"([0-9]{0,9}) ?- ?([0-9]{0,9})", scalar(node))
        if not match or not any(match.groups()):
            raise Wrong("is no span: write 500-20000, or leave out one end, as in 500- and -20000")
        low, high = int(match[1] or 0), int(match[2] or form.most)
        if high > form.most:
            raise Wrong(f"ends too high: at most {form.most}, and no more is read")
        if low > high:
            raise Wrong(f"runs backwards: write {high}-{low}")
        return low, high

    return read


def _url(form: words.Url) -> Reading[str]:
    return lambda node: targets.url_with_variables(node, form.schemes)


def _place(form: words.Place) -> Reading[str]:
    port = "" if form.port is None else str(form.port)
    example = f"{'host or ' if port else ''}host:port, such as example.com:{form.port or 443}"
    return lambda node: targets.endpoint(text_of(node, 300), port, example)


def _host(_: words.Host) -> Reading[str]:
    return lambda node: targets.checked_host(text_of(node, 300), "a host, such as example.com")


def _members(_: words.Members) -> Reading[str]:
    return lambda node: as_target(values.members(node))


def _share(_: words.Share) -> Reading[str]:
    def read(node: yaml.Node) -> str:
        text = scalar(node).lower().replace(" ", "")
        if text not in ("any", "all") and not re.fullmatch(r"[1-9][0-9]?%|100%", text):
            raise Wrong("is no share: write any, all, or one such as 60%")
        return text

    return read


def _file(_: words.File) -> Reading[str]:
    def read(node: yaml.Node) -> str:
        text = text_of(node, 1000)
        if not text.startswith("/"):
            raise Wrong("must be a whole path on the workers' machines, such as /etc/ssl/acme.pem")
        return text

    return read


def _cron(_: words.Cron) -> Reading[str]:
    def read(node: yaml.Node) -> str:
        text = " ".join(text_of(node, 100).split())
        if not is_cron(text):
            raise Wrong("is no time that comes: write the five fields of a crontab, such as 30 3 * * 1-5")
        return text

    return read


def _as_it_is(read: Reading[Any]) -> Callable[[Any], Reading[Any]]:
    return lambda _: read


_READINGS: Final[Mapping[type[words.Form], Callable[[Any], Reading[Any]]]] = {
    words.Text: _text,
    words.Secret: _secret,
    words.Flag: _flag,
    words.Choice: _choice,
    words.Whole: _whole,
    words.Number: _number,
    words.Percent: _percent,
    words.Seconds: _seconds,
    words.Span: _span,
    words.Cron: _cron,
    words.Zone: _as_it_is(values.time_zone),
    words.Slug: _as_it_is(values.slug),
    words.Question: _as_it_is(targets.question),
    words.Url: _url,
    words.Place: _place,
    words.Host: _host,
    words.File: _file,
    words.Members: _members,
    words.Share: _share,
}
