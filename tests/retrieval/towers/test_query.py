import pytest
import torch
from torch import Tensor, nn

from retrieval.towers.query import QueryBatch, QueryTower

TEXT, PICTURE, DIM, INTERESTS = 6, 4, 8, 3


def tower(*, trained: bool = True) -> QueryTower:
    torch.manual_seed(0)
    made = QueryTower(TEXT, PICTURE, dim=DIM, width=8, heads=2, interests=INTERESTS)
    if trained:
        for parameter in made.parameters():
            nn.init.normal_(parameter, std=0.3)
    return made.eval()


def products() -> Tensor:
    vectors = torch.randn(10, DIM, generator=torch.Generator().manual_seed(1))
    return nn.functional.normalize(vectors, dim=1)


def request(**parts: Tensor) -> QueryBatch:
    empty = QueryBatch(
        text=torch.zeros(1, TEXT),
        picture=torch.zeros(1, PICTURE),
        marked=torch.full((1, 2), -1),
        marks=torch.zeros(1, 2),
        recent=torch.full((1, 4), -1),
        recent_facts=torch.zeros(1, 4, 2),
        facts=torch.zeros(1, 3, dtype=torch.int64),
    )
    return empty._replace(**parts)


def words() -> Tensor:
    return torch.randn(1, TEXT, generator=torch.Generator().manual_seed(2))


HABITS = {
    "recent": torch.tensor([[3, 5, 7, -1]]),
    "recent_facts": torch.tensor([[[0.1, 0.0], [1.0, 0.7], [3.0, 1.1], [0.0, 0.0]]]),
    "facts": torch.tensor([[4, 9, 0]]),
}


@pytest.mark.parametrize(
    ("parts", "meant"),
    [
        ({}, INTERESTS),
        (HABITS, INTERESTS),
        ({"text": words()}, 1),
        ({"text": words(), **HABITS}, 1),
        ({"picture": torch.ones(1, PICTURE)}, 1),
        ({"marked": torch.tensor([[2, -1]]), "marks": torch.tensor([[1.0, 0.0]])}, 1),
    ],
)
def test_who_asks_has_one_vector_and_who_does_not_has_several(
    parts: dict[str, Tensor], meant: int
) -> None:
    vectors, which = tower()(request(**parts), products())

    assert int(which.sum()) == meant
    assert torch.isfinite(vectors).all()


def test_vectors_have_length_one() -> None:
    vectors, which = tower()(request(**HABITS), products())

    assert torch.allclose(vectors[which].norm(dim=1), torch.ones(INTERESTS), atol=1e-6)


def test_what_stands_in_unused_places_changes_nothing() -> None:
    made = tower()
    filled = request(**HABITS)
    facts = filled.recent_facts.clone()
    facts[:, 3] = 50.0
    longer = filled._replace(
        recent=torch.cat([filled.recent, torch.full((1, 3), -1)], dim=1),
        recent_facts=torch.cat([facts, torch.full((1, 3, 2), 9.0)], dim=1),
        facts=torch.cat([filled.facts, torch.zeros(1, 2, dtype=torch.int64)], dim=1),
    )

    assert torch.allclose(made(filled, products())[0], made(longer, products())[0], atol=1e-5)


def test_a_request_does_not_see_the_one_beside_it() -> None:
    made = tower()
    both = [torch.cat(pair) for pair in zip(request(**HABITS), request(text=words()), strict=True)]

    together, which = made(QueryBatch(*both), products())
    alone, _ = made(request(**HABITS), products())

    assert torch.allclose(together[:1], alone, atol=1e-5)
    assert which.tolist() == [[False, True, True, True], [True, False, False, False]]


def test_the_order_of_the_recent_products_does_not_matter_but_their_age_does() -> None:
    made, asked = tower(), request(**HABITS)
    order = [2, 0, 1, 3]
    mixed = asked._replace(recent=asked.recent[:, order], recent_facts=asked.recent_facts[:, order])
    aged = asked._replace(recent_facts=asked.recent_facts[:, order])

    vectors, _ = made(asked, products())

    assert torch.allclose(vectors, made(mixed, products())[0], atol=1e-5)
    assert not torch.allclose(vectors, made(aged, products())[0], atol=1e-3)


def test_untrained_words_are_turned_and_nothing_else() -> None:
    made = tower(trained=False)
    turned = nn.functional.normalize(made.from_text(words()), dim=1)

    vectors, which = made(request(text=words()), products())

    assert torch.allclose(vectors[which], turned, atol=1e-6)


def test_untrained_a_liked_product_draws_near_and_a_disliked_one_away() -> None:
    made, shelf = tower(trained=False), products()
    both = request(marked=torch.tensor([[2, 6]]), marks=torch.tensor([[1.0, -1.0]]))

    vectors, which = made(both, shelf)
    similar = vectors[which][0] @ shelf.T

    assert similar[2] > 0 > similar[6]


def test_a_weaker_mark_draws_less() -> None:
    made, shelf = tower(trained=False), products()
    marked = torch.tensor([[2, 6]])

    strong, which = made(request(marked=marked, marks=torch.tensor([[1.0, 1.0]])), shelf)
    weak, _ = made(request(marked=marked, marks=torch.tensor([[0.2, 1.0]])), shelf)

    assert (weak[which][0] @ shelf[2]) < (strong[which][0] @ shelf[2])
