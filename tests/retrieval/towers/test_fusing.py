import pytest
import torch
from torch import Tensor, nn

from retrieval.towers.fusing import FUSIONS, Pool, unit

KINDS, DIM = 3, 8


def fusion(name: str) -> nn.Module:
    torch.manual_seed(0)
    made = FUSIONS[name](DIM, KINDS, 4, 2)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)  # as if it had learnt something
    return made.eval()


def some_tokens() -> Tensor:
    return torch.randn(5, KINDS, DIM, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", FUSIONS)
def test_what_a_missing_token_holds_changes_nothing(name: str) -> None:
    fuse, tokens = fusion(name), some_tokens()
    mask = torch.ones(5, KINDS, dtype=torch.bool)
    mask[:, 1] = False
    other = tokens.clone()
    other[:, 1] = 100.0

    assert torch.equal(fuse(tokens, mask), fuse(other, mask))


@pytest.mark.parametrize("name", FUSIONS)
def test_a_missing_token_is_not_the_same_as_a_zero_vector(name: str) -> None:
    fuse, tokens = fusion(name), some_tokens()
    there = torch.ones(5, KINDS, dtype=torch.bool)
    missing = there.clone()
    missing[:, 1] = False
    tokens[:, 1] = 0.0

    assert not torch.allclose(fuse(tokens, there), fuse(tokens, missing), atol=1e-4)


@pytest.mark.parametrize("name", FUSIONS)
def test_a_product_does_not_see_its_neighbours(name: str) -> None:
    fuse, tokens = fusion(name), some_tokens()
    mask = torch.ones(5, KINDS, dtype=torch.bool)

    together = fuse(tokens, mask)
    alone = torch.cat([fuse(tokens[i : i + 1], mask[i : i + 1]) for i in range(5)])

    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("name", FUSIONS)
def test_untrained_it_is_the_mean_of_what_is_there(name: str) -> None:
    fuse, tokens = FUSIONS[name](DIM, KINDS, 4, 2), some_tokens()
    mask = torch.ones(5, KINDS, dtype=torch.bool)

    fused = fuse(tokens, mask)

    assert torch.allclose(unit(fused), unit(tokens.mean(dim=1)), atol=1e-5)


@pytest.mark.parametrize("name", FUSIONS)
def test_with_nothing_there_no_number_is_lost(name: str) -> None:
    found = fusion(name)(some_tokens(), torch.zeros(5, KINDS, dtype=torch.bool))

    assert torch.isfinite(found).all()


def test_a_pool_stays_among_its_tokens_in_any_order() -> None:
    pool, tokens = Pool(DIM), some_tokens()
    nn.init.normal_(pool.to_weight.weight)
    mask = torch.tensor([[True, True, False]]).expand(5, KINDS)

    pooled = pool(tokens, mask)
    turned = pool(tokens[:, [1, 0, 2]], mask)

    assert torch.allclose(pooled, turned, atol=1e-6)
    assert (pooled <= tokens[:, :2].amax(dim=1) + 1e-6).all()
    assert (pooled >= tokens[:, :2].amin(dim=1) - 1e-6).all()


def test_attention_can_learn_what_an_average_cannot() -> None:
    """Which of two tokens counts is told by a third: no fixed weights can follow it."""
    torch.manual_seed(0)
    tokens = torch.randn(512, KINDS, DIM)
    tokens[:, 2] = torch.sign(tokens[:, 2, :1]) * 2.0
    wanted = unit(torch.where(tokens[:, 2, :1] > 0, tokens[:, 0], tokens[:, 1]))
    mask = torch.ones(512, KINDS, dtype=torch.bool)
    similar = {}

    for name in ("average", "attention"):
        fuse = FUSIONS[name](DIM, KINDS, 32, 2)
        optimizer = torch.optim.Adam(fuse.parameters(), 1e-2)
        for _ in range(150):
            loss = 1 - (unit(fuse(tokens, mask)) * wanted).sum(dim=1).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        similar[name] = 1 - loss.item()

    assert similar["attention"] > similar["average"] + 0.1
