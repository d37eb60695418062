"""What operators write becomes HTML that a page may hold as it is.

Markdown knows no HTML here, and whatever comes of it passes an allow-list once more: of two gates that each
suffice, one may have a hole.
"""

import re
from functools import lru_cache
from typing import Final

import nh3
from markdown_it import MarkdownIt

_TAGS: Final = {
    *("p", "br", "hr", "em", "strong", "del", "s", "code", "pre", "blockquote", "a"),
    *("ul", "ol", "li", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_LINKS: Final = {"http", "https", "mailto"}
# It looks like a path of ours, and leads to wherever it says.
_ELSEWHERE: Final = re.compile(r"\s*[/\\]{2}")

_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
# A picture would be fetched from wherever the text says, by every visitor.
_markdown.disable("image")


@lru_cache(maxsize=512)
def to_html(source: str) -> str:
    """Headings begin below those of a page."""
    return nh3.clean(
        _markdown.render(source)
        .replace("<h1>", "<h3>")
        .replace("</h1>", "</h3>")
        .replace("<h2>", "<h4>")
        .replace("</h2>", "</h4>"),
        tags=_TAGS,
        attributes={"a": {"href"}},
        attribute_filter=lambda _, __, value: None if _ELSEWHERE.match(value) else value,
        url_schemes=_LINKS,
        link_rel="noopener noreferrer nofollow",
    ).strip()
