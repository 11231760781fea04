"""The head of a title: the word that says what a product is, `case` in `Phone case, black`."""

import re

FIELD = "head"  # of an index: of each row the head of its title
# Languages whose names of things begin with the head, as `sac à main`; in others it comes last.
HEAD_FIRST = frozenset(("arabic", "french", "italian", "portuguese", "romanian", "spanish"))
# What follows these says more about a thing, and does not name it.
_PARTED = re.compile(
    r"[,(:;/|]|\s[-–—]\s"  # noqa: RUF001
    r"|\s(?:with|without|for|in|of|from|by|mit|ohne|für|aus|von|im|in|pour|avec|sans|en|de|du"
    r"|para|con|sin|per|senza|di|med|uten|utan|till|voor|met|zonder)\s",
    re.IGNORECASE,
)
PARTING = frozenset(("with", "without", "for", "in", "from", "by"))  # those of English
_WORD = re.compile(r"(?<!\w)[^\W\d_][\w'’-]*")  # noqa: RUF001
# What stands behind the head in English, as in `Smartphone 128GB Black` and `jeans women`; no
# colour that is also a thing, such as cream.
_BEHIND_TEXT = """
    black white grey gray red blue green navy pink brown beige silver gold yellow purple
    turquoise ivory khaki burgundy charcoal transparent multicolour
    men women mens womens men's women's unisex boys girls kids children adults toddlers
"""
_BEHIND = frozenset(_BEHIND_TEXT.split())
_READ = 300  # characters of a title


def head_of(title: str, language: str) -> str:
    """Return the word that names what a product is; "" where the title has no word.

    It is the last word of the title's first part, in HEAD_FIRST languages the first; numbers,
    sizes, colours and people behind it are none. A guess: `Tomatoes Grape` is not a grape.
    """
    for part in _PARTED.split(title[:_READ]):
        words: list[str] = [word for word in _WORD.findall(part) if len(word) > 1]
        while len(words) > 1 and words[-1].lower() in _BEHIND:
            words.pop()
        if len(words) > 2 and words[-1].lower() == "free":  # bread gluten free
            del words[-2:]
        if words:
            return words[0] if language in HEAD_FIRST else words[-1]
    return ""
