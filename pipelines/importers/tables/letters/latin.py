"""Tells how well accented Latin letters fit the languages of an encoding."""

import unicodedata

WEST = {
    "French": "éèàêçùôûîâëïœæÿ", "German": "äöüß", "Spanish": "ñóáíéúü",
    "Portuguese": "ãçáéõóíâêúà", "Swedish": "åäöé", "Danish": "øåæé", "Dutch": "ëéïöèü",
    "Italian": "àèùòìé", "Icelandic": "ðþáéíóúýæö", "Catalan": "àçéèíïóòúü",
}  # fmt: skip
CENTRE = {
    "Hungarian": "áéöóőüíúű", "Polish": "ąćęłńóśźż", "Czech": "áéěíóúůýčďňřšťž",
    "Slovak": "áäčďéíĺľňóôŕšťúýž", "Romanian": "ăâîşţ", "Croatian": "čćđšž", "German": "äöüß",
}  # fmt: skip
TURKISH = {"Turkish": "ıiişçöüğâîû"}
BALTIC = {"Lithuanian": "ąčęėįšųūž", "Latvian": "āčēģīķļņšūž", "Estonian": "äõöüšž"}
LANGUAGES = {
    "windows-1252": WEST, "iso8859-15": WEST, "mac-roman": WEST, "cp850": WEST,
    "windows-1250": CENTRE, "iso8859-2": CENTRE, "cp852": CENTRE,
    "windows-1254": TURKISH, "windows-1257": BALTIC,
}  # fmt: skip


def strangers(name: str, text: str) -> int:
    """Return how many accented letters of a text the language lacks that has the most of them."""
    letters = [c for c in text.lower() if not c.isascii() and unicodedata.category(c) == "Ll"]
    languages = LANGUAGES.get(name, {}).values()
    return min((sum(letter not in own for letter in letters) for own in languages), default=0)
