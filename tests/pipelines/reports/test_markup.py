"""Templates: what is put into a page is text, whatever it says."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from pipelines.reports.markup import environment


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def drawn(template: str, **facts: object) -> str:
    return environment().from_string(template).render(**facts)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"])))
def test_any_text_is_read_back_as_it_was_and_makes_no_element(text: str) -> None:
    read = Reader(drawn('<p title="{{ text }}">{{ text }}</p>', text=text))

    assert read.tags == ["p"]
    assert read.attributes == [("title", text)]
    assert read.text == text


def test_what_is_markup_already_stays_so_and_a_text_of_the_same_letters_does_not() -> None:
    assert drawn("{{ a }}{{ b }}", a=Markup("<b>"), b="<b>") == "<b>&lt;b&gt;"


def test_what_no_browser_can_show_is_replaced() -> None:
    assert drawn("{{ text }}", text="a\x00\x1b\ud800\uffff") == "a" + 4 * "\ufffd"


def test_a_text_from_outside_keeps_its_direction_to_itself() -> None:
    template = '{% from "parts.html" import foreign %}{{ foreign(text) }}'

    assert drawn(template, text="\u202e<") == "<bdi>\u202e&lt;</bdi>"


def test_a_fact_that_is_not_there_is_no_empty_text() -> None:
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        drawn("{{ text }}")
