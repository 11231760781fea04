"""The names of the files in a release, relative to its folder; they are written nowhere else."""

PRODUCTS = "products.arrow"
USERS = "users.arrow"
PICTURES = "pictures.arrow"  # each distinct one once
PINNED_QUERIES = "pinned.jsonl"

PICTURE_OF = "catalogue/picture_of.npy"
PRODUCT_CATEGORIES = "catalogue/categories.npy"
PRICES = "catalogue/prices.npy"
KINDS = "catalogue/kinds.npy"

LEXICAL = "lexical"
WORDS = "words"
COMPLETIONS = "completions"
PROMOTIONS = "promotions"

JOINED, PICTURE, TOWERS = "joined", "picture", "towers"  # the spaces of vectors
SPACES = (JOINED, PICTURE)  # of the encoders
TOWER_VECTORS = "towers/vectors.npy"
REQUEST_KINDS = "towers/windows.json"  # where the towers are asked: SEARCH, RECOMMENDATION
OWN = "towers/own.json"  # ids of the products that have an embedding of their own
SEARCH, RECOMMENDATION = "search", "recommendation"

BEHAVIOUR = "behaviour"
WEIGHTS = "behaviour/weights.json"
SCALES = "behaviour/scales.json"

RANKER = "ranker"
CATEGORIES = "ranker/categories.json"  # names by number, as the ranker has learnt them


def vectors_of(space: str) -> str:
    """Return the name of the vectors of an encoders' space."""
    return f"vectors/{space}.npy"


def index_of(space: str) -> str:
    """Return the name of the index of a space; what else belongs to it lies beside it."""
    return f"index/{space}.faiss"


def milvus_address_of(space: str) -> str:
    """Return the name of the file that says which Milvus collection holds a space."""
    return f"index/{space}.milvus.json"


def content_of(column: str) -> str:
    """Return the name of a column of what new products look like."""
    return f"behaviour/content_{column}.npy"


def is_of_index(file: str) -> bool:
    """Tell whether a file belongs to the index of a space."""
    return file.startswith("index/")
