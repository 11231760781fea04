"""Makes plain text of HTML, as exports of shops have it in titles and descriptions."""

import re
from collections.abc import Iterator
from html import unescape
from html.entities import html5

ROUNDS = 3  # entities may be encoded twice, and hide tags
# The elements of HTML (https://html.spec.whatwg.org/multipage/indices.html#elements-3), and old
# ones; a `<` before any other word is a letter. Those inside a line part no words.
INLINE = frozenset(
    """
    a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark q ruby
    s samp small span strike strong sub sup time tt u var wbr
    """.split()
)
ELEMENTS = INLINE | frozenset(
    """
    address area article aside audio base blockquote body br button canvas caption center
    col colgroup datalist dd details dialog dir div dl dt embed fieldset figcaption figure
    footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input
    legend li link main map menu meta meter nav noscript object ol optgroup option output p
    param picture pre progress rp rt script search section select slot source style summary
    svg table tbody td template textarea tfoot th thead title tr track ul video path
    """.split()
)
DROPPED = frozenset({"script", "style", "head", "template", "svg", "iframe", "object"})  # whole
TAG = re.compile(
    r"<!--|<!\[CDATA\[|\]\]>|<[!?][A-Za-z][^<>]*>"
    r"|<(/?)([A-Za-z][A-Za-z0-9]*(?::[A-Za-z]+)?)((?:\s(?:[^<>\"']|\"[^\"<]*+\"|'[^'<]*+')*+)?/?)>"
)
ENTITY = re.compile(r"&(?:#(?:\d{1,7}|[xX][0-9a-fA-F]{1,6})|[A-Za-z][A-Za-z0-9]{1,31});?")
SPACES = re.compile(r"[^\S\n]+")


def plain_text(text: str, *, keep_lines: bool = False) -> str:
    """Return a text without tags and entities, with one space where there were several.

    What stands in script and style is left out. A `<` that begins no tag is a letter. Lines are
    joined unless they are kept.
    """
    for _ in range(ROUNDS):
        if "<" not in text and "&" not in text:
            break
        before = text
        text = _decoded("".join(_outside(text)) if "<" in text else text)
        if text == before:
            break
    if not keep_lines:
        return " ".join(text.split())
    lines = (SPACES.sub(" ", line).strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _decoded(text: str) -> str:
    return ENTITY.sub(_letter, text) if "&" in text else text


def _letter(match: re.Match[str]) -> str:
    """Return what an entity stands for; one that is not closed only where no word goes on."""
    entity = match[0]
    if entity.endswith(";"):
        return unescape(entity)
    following = match.string[match.end() : match.end() + 1]
    known = entity.startswith("&#") or entity[1:] in html5
    return unescape(entity + ";") if known and not re.match(r"[\w=]", following) else entity


def _outside(text: str) -> Iterator[str]:
    """Yield the parts of a text that are outside of tags, and a space for most tags."""
    place, dropped, small = 0, "", text.lower()
    last: dict[str, int] = {}  # where what ends a part stands for the last time
    for tag in TAG.finditer(text):
        name = (tag[2] or "").lower()
        if tag.start() < place or (dropped and not (tag[1] and name == dropped)):
            continue
        if dropped:
            dropped, place = "", tag.end()
            continue
        if name and not _is_element(name, tag[3]):
            continue  # letters
        yield text[place : tag.start()]
        place = tag.end()
        if tag[0] == "<!--":
            if last.setdefault("-->", text.rfind("-->")) >= place:
                place = text.find("-->", place) + 3
        elif name in DROPPED and not tag[1]:
            if name not in last:
                last[name] = small.rfind(f"</{name}")
            dropped = name if last[name] >= place else ""
        if name not in INLINE:
            yield " "
    yield text[place:]


def _is_element(name: str, attributes: str) -> bool:
    """Tell a tag from letters such as `a<b and c>d`."""
    if name not in ELEMENTS and ":" not in name:
        return False
    return not attributes.strip(" /") or "=" in attributes
