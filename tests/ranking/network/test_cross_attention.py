import pytest
import torch

from ranking.network.cross_attention import CrossAttentionRanker, FeatureTokens
from ranking.network.shape import OUTCOMES
from tests.ranking.shapes import SHAPE


@pytest.fixture
def ranker() -> CrossAttentionRanker:
    torch.manual_seed(0)
    return CrossAttentionRanker(SHAPE).eval()


@pytest.fixture
def blind() -> CrossAttentionRanker:
    torch.manual_seed(0)
    return CrossAttentionRanker(SHAPE._replace(points=0)).eval()


@pytest.fixture
def parts() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "candidates": torch.randn(2, 5, 8),
        "features": torch.randn(2, 5, 3),
        "kept": torch.ones(2, 5, dtype=torch.bool),
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


def test_padding_of_the_list_changes_nothing(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    padded = {
        **parts,
        "candidates": torch.cat([parts["candidates"], torch.full((2, 3, 8), 99.0)], dim=1),
        "features": torch.cat([parts["features"], torch.full((2, 3, 3), 99.0)], dim=1),
        "kept": torch.tensor([[True] * 5 + [False] * 3] * 2),
    }

    torch.testing.assert_close(ranker(**padded)[:, :5], ranker(**parts))


def test_candidates_see_each_other_through_the_points_and_only_there(
    ranker: CrossAttentionRanker, blind: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    fewer = {
        **parts,
        "candidates": parts["candidates"][:, :2],
        "features": parts["features"][:, :2],
        "kept": parts["kept"][:, :2],
    }

    assert not torch.allclose(ranker(**parts)[:, :2], ranker(**fewer))
    torch.testing.assert_close(blind(**parts)[:, :2], blind(**fewer))


def test_each_candidate_has_a_logit_for_each_outcome(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    logits = ranker(**parts)

    assert logits.shape == (2, 5, len(OUTCOMES))
    assert not torch.allclose(logits[..., 0], logits[..., 1])


def test_attention_is_shared_out_among_the_real_tokens(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])

    shares = ranker.attend[0].attention(parts["candidates"], parts["context"], mask)

    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 5))
    assert (shares[0, :, 2] == 0).all()
    assert (shares[1, :, 0] == 1).all()


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


def test_a_feature_that_never_moved_in_training_says_nothing_when_it_does() -> None:
    torch.manual_seed(0)
    tokens = FeatureTokens(SHAPE).eval()
    sample = torch.randn(100, 3)
    sample[:, 1] = 0
    tokens.fit(sample)
    still = sample[None, :5]
    moved = still.clone()
    moved[..., 1] = 1

    assert torch.allclose(tokens(still), tokens(moved), atol=1e-3)


def test_features_that_hardly_move_around_a_large_number_stay_numbers() -> None:
    tokens = FeatureTokens(SHAPE)
    sample = torch.stack([torch.full((50,), 5e5), torch.zeros(50), torch.arange(50.0)], dim=1)
    sample[:, 0] += torch.arange(50) % 2 / 16

    tokens.fit(sample)

    assert (tokens.edges.diff(dim=1) > 0).all()
    assert tokens(sample[None]).isfinite().all()


def test_shapes_are_checked_while_testing(
    ranker: CrossAttentionRanker, parts: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(Exception, match=r"[Tt]ype"):
        ranker(**{**parts, "context_mask": torch.ones(2, 3, dtype=torch.bool)})
