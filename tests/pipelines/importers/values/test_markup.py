"""HTML made plain text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.importers.values.markup import plain_text


@pytest.mark.parametrize(
    ("html", "plain"),
    [
        ("Salt &amp; pepper", "Salt & pepper"),
        ("Salt &amp;amp; pepper", "Salt & pepper"),
        ("Fish &amp chips", "Fish & chips"),
        ("Caf&eacute; 12&quot; &#39;x&#39; &#x20AC;", "Café 12\" 'x' €"),
        ("18&nbsp;cm", "18 cm"),
        ("<p>One</p><ul><li>two</li><li>three</li></ul>four<br>five<br/>six",
         "One two three four five six"),
        ("H<sub>2</sub>O is <b>we</b>t", "H2O is wet"),
        ("Red &lt;b&gt;hot&lt;/b&gt; oil", "Red hot oil"),
        ("<style>p{color:red}</style>Oil<script>if (a < b) {}</script>.", "Oil ."),
        ("a<!-- <b>hidden</b> -->b", "a b"),
        ("<![CDATA[Oil]]>", "Oil"),
        ("<a href='x>y' title=\"a>b\">link</a>", "link"),
        ("<P CLASS=x>Big</P>", "Big"),
        ("<o:p>Word</o:p>", "Word"),
    ],
)  # fmt: skip
def test_tags_and_entities_become_what_they_show(html: str, plain: str) -> None:
    assert plain_text(html) == plain


@pytest.mark.parametrize(
    "text",
    ["size < 5", "I <3 you", "a<b and c>d", "R&D, AT&T", "x?a=1&copy=2", "<unknown> thing", "5 > 3",
     "tail <b", "R & B"],
)  # fmt: skip
def test_what_is_no_html_stays(text: str) -> None:
    assert plain_text(text) == text


def test_what_is_never_closed_hides_no_text() -> None:
    assert plain_text("<script>Oil") == "Oil"
    assert plain_text("Oil <!-- good") == "Oil good"
    assert plain_text("<p>Oil") == "Oil"


def test_lines_stay_where_they_are_wanted() -> None:
    assert plain_text("One  two\n\n\n\n<b>three</b>", keep_lines=True) == "One two\n\nthree"


@given(st.text(st.sampled_from("<>/&;!-ab \"'=[]#p"), max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert len(plain_text(text)) <= len(text)


@pytest.mark.parametrize("part", ["<a ", '<a "', "<script>", "&amp", "<!--", "<p \" '", "&", "<"])
def test_hostile_text_takes_time_in_proportion(part: str) -> None:
    plain_text(part * (100_000 // len(part)))


def test_tags_with_long_values_are_tags() -> None:
    picture = f'<img src="data:image/png;base64,{"A" * 200_000}" alt="x">'

    assert plain_text(f'Nice {picture}<div style="{"a:b;" * 300}">cup</div>') == "Nice cup"
