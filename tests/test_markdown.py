"""What operators write is shown as they meant it, and does nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.markdown import to_html


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("A *b* **c** ~~d~~ `e`", "<p>A <em>b</em> <strong>c</strong> <s>d</s> <code>e</code></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("# Cause", "<h3>Cause</h3>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        (
            "[see](https://acme.example/a?b=1&c)",
            '<p><a href="https://acme.example/a?b=1&amp;c" rel="noopener noreferrer nofollow">see</a></p>',
        ),
        ("<b>not</b>", "<p>&lt;b&gt;not&lt;/b&gt;</p>"),
        (
            "![a](https://acme.example/a.png)",
            '!<a href="https://acme.example/a.png" rel="noopener noreferrer nofollow">a</a>',
        ),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"),
        ("", ""),
    ],
)
def test_markdown_becomes_html(source: str, html: str) -> None:
    assert to_html(source) in (html, f"<p>{html}</p>")


@given(
    st.lists(
        st.sampled_from(
            ["<", ">", "script", "a", "](", "[", "javascript:", "`", "*", "\n", "&lt;", "on=", '"', "'"]
        )
    )
)
def test_nothing_but_harmless_tags_comes_out(parts: list[str]) -> None:
    html = to_html("".join(parts))
    assert set(re.findall(r"</?([a-zA-Z0-9]+)", html)) <= {
        *("p", "br", "em", "strong", "code", "pre", "a", "ul", "li", "h3", "h4", "blockquote", "hr", "s")
    }
    assert not re.search(r"<[^>]*\son", html)
