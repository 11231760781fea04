"""Where each part of a release lies in its folder."""

BEHAVIOUR = "behaviour"
CONTENT = "behaviour/content_{}.npy"
WEIGHTS = "behaviour/weights.json"
SCALES = "behaviour/scales.json"
KINDS = "catalogue/kinds.npy"
PROMOTIONS = "promotions"
WORDS = "words"
TOWERS = "towers"
COMPLETIONS = "completions"
WINDOWS = "windows.json"


SEARCH, RECOMMENDATION = "search", "recommendation"
RANKER = "ranker"
CATEGORIES = "categories.json"  # names by number, as the ranker has learnt them
PLACE = "index/{}.milvus.json"
OWN = "own.json"
