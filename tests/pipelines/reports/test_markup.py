"""Markup: what is put into a page is text, whatever it says."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from pipelines.reports.markup import Markup, element, escape, foreign, join


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


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"])))
def test_any_text_is_read_back_as_it_was_and_makes_no_element(text: str) -> None:
    read = Reader(element("p", text, title=text))

    assert read.tags == ["p"]
    assert read.attributes == [("title", text)]
    assert read.text == text


def test_what_is_markup_already_stays_so_and_a_text_of_the_same_letters_does_not() -> None:
    assert join(Markup("<b>"), "<b>", None) == "<b>&lt;b&gt;"


def test_what_no_browser_can_show_is_replaced() -> None:
    assert escape("a\x00\x1b\ud800\uffff") == "a" + 4 * "\ufffd"


def test_a_text_from_outside_keeps_its_direction_to_itself() -> None:
    assert foreign("\u202e<") == "<bdi>\u202e&lt;</bdi>"


def test_an_attribute_is_there_is_bare_or_is_missing() -> None:
    found = element("p", class_="x", hidden=True, id=None, data_place=0, open=False)

    assert found == '<p class="x" hidden data-place="0"></p>'
