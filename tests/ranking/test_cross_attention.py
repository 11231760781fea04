import pytest
import torch

from ranking.cross_attention import CrossAttention, CrossAttentionRanker


@pytest.fixture
def ranker() -> CrossAttentionRanker:
    torch.manual_seed(0)
    return CrossAttentionRanker(
        dim=8, heads=2, layers=2, vector_dim=6, num_features=3, facts=16
    ).eval()


@pytest.fixture
def parts() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "candidates": torch.randn(2, 5, 8),
        "features": torch.randn(2, 5, 3),
        "context": torch.randn(2, 4, 8),
        "context_mask": torch.ones(2, 4, dtype=torch.bool),
    }


def test_scores_do_not_depend_on_the_order_of_candidates(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = {
        **parts,
        "candidates": parts["candidates"][:, order],
        "features": parts["features"][:, order],
    }

    torch.testing.assert_close(ranker(**shuffled), ranker(**parts)[:, order])


def test_padding_of_the_context_changes_nothing(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    padded = {
        **parts,
        "context": torch.cat([parts["context"], torch.full((2, 3, 8), 99.0)], dim=1),
        "context_mask": torch.tensor([[True] * 4 + [False] * 3] * 2),
    }

    torch.testing.assert_close(ranker(**padded), ranker(**parts))


def test_one_request_does_not_see_another(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    alone = ranker(**{name: part[:1] for name, part in parts.items()})

    torch.testing.assert_close(ranker(**parts)[:1], alone)


def test_one_candidate_does_not_see_another(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    fewer = {
        **parts,
        "candidates": parts["candidates"][:, :2],
        "features": parts["features"][:, :2],
    }

    torch.testing.assert_close(ranker(**parts)[:, :2], ranker(**fewer))


def test_every_kind_of_context_token_moves_the_scores(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    before = ranker(**parts)

    for token in range(4):
        context = parts["context"].clone()
        context[:, token] = torch.arange(8.0)

        assert not torch.allclose(ranker(**{**parts, "context": context}), before)


def test_a_feature_out_of_all_bounds_does_not_rule_the_list(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    far, farther = parts["features"].clone(), parts["features"].clone()
    far[0, 0, 0], farther[0, 0, 0] = 1e3, 1e30

    torch.testing.assert_close(
        ranker(**{**parts, "features": far}), ranker(**{**parts, "features": farther})
    )


def test_tokens_of_unequal_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="dim=10 cannot be split evenly among heads=4"):
        CrossAttention(dim=10, heads=4)


def test_shapes_are_checked_while_testing(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(Exception, match=r"[Tt]ype"):
        ranker(**{**parts, "context_mask": torch.ones(2, 3, dtype=torch.bool)})
