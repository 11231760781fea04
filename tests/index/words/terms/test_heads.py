import pytest

from index.words.terms.heads import head_of


@pytest.mark.parametrize(
    ("title", "head"),
    [
        ("Laptop Stand", "Stand"),
        ("Orvano X5 Smartphone 128GB", "Smartphone"),
        ("Orvano X5 Smartphone 128GB Black", "Smartphone"),
        ("Running Shoes Women", "Shoes"),
        ("Vanilla Ice Cream", "Cream"),
        ("Bread Gluten Free", "Bread"),
        ("black jeans men", "jeans"),
        ("Phone Case for Nova 12, black", "Case"),
        ("Women's Hiking Jacket - Navy", "Jacket"),
        ("Rye bread (sliced)", "bread"),
        ("T-Shirt", "T-Shirt"),
        ('55" 4K', ""),
        ("", ""),
    ],
)
def test_the_head_is_the_last_word_of_what_a_title_names(title: str, head: str) -> None:
    assert head_of(title, "english") == head


def test_languages_that_put_the_head_first_are_read_so() -> None:
    assert head_of("Sac à main en cuir", "french") == "Sac"
    assert head_of("Funda negra para móvil", "spanish") == "Funda"


def test_a_hostile_title_costs_little() -> None:
    assert head_of("(" * 100_000, "english") == ""
