import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ranking.text_heads import (
    LOSSES,
    READERS,
    JudgedList,
    LambdaMart,
    MissingLightGBM,
    NetworkRecipe,
    Recipe,
    TextList,
)
from ranking.text_heads.lists import collate
from ranking.text_heads.networks import TextNetwork
from ranking.text_heads.training import TooFewLists, UnknownChoice, hold_out, mean_ndcg
from tests.assertions import every

QUICK = NetworkRecipe(dim=8, epochs=4, lists_at_once=8, feature_learning_rate=0.1)
RECIPES: dict[str, Recipe] = {
    "linear": QUICK,
    "lambdamart": LambdaMart(trees=10, fewest_in_leaf=5),
    **{name: QUICK._replace(reader=name) for name in READERS},
}

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
every_reader = pytest.mark.parametrize("name", READERS)
DIM = 12


def pieces(rng: np.random.Generator, count: int) -> np.ndarray:
    tokens = rng.normal(size=(count, DIM))
    return (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).astype(np.float16)


def a_list(rng: np.random.Generator, size: int = 6) -> JudgedList:
    """The first feature tells the relevance, with noise."""
    relevance = rng.integers(0, 5, size).astype(np.float32) / 4
    features = rng.normal(size=(size, 4)).astype(np.float32)
    features[:, 0] = relevance + rng.normal(size=size) / 5
    titles = tuple(pieces(rng, int(rng.integers(1, 7))) for _ in range(size))
    return JudgedList(TextList(features, pieces(rng, int(rng.integers(1, 5))), titles), relevance)


@pytest.fixture
def lists() -> list[JudgedList]:
    rng = np.random.default_rng(0)
    return [a_list(rng) for _ in range(120)]


def a_network(name: str, seed: int = 0) -> TextNetwork:
    """A network whose reader has a say, as after training."""
    torch.manual_seed(seed)
    network = TextNetwork(np.eye(4, dtype=np.float32), READERS[name](DIM, 8)).eval()
    torch.nn.init.normal_(network.from_reader[-1].weight)
    return network


def logits(network: TextNetwork, *lists: TextList) -> torch.Tensor:
    with torch.inference_mode():
        return network(collate(lists))


@every_recipe
def test_a_head_learns_what_tells_the_relevance(recipe: Recipe, lists: list[JudgedList]) -> None:
    head = recipe.fit(lists[:100])

    assert mean_ndcg(head, lists[100:]) > 0.93


@every_recipe
def test_the_same_lists_and_seed_make_the_same_head(
    recipe: Recipe, lists: list[JudgedList]
) -> None:
    one, two = recipe.fit(lists), recipe.fit(lists)

    np.testing.assert_array_equal(one.scores(lists[0].asked), two.scores(lists[0].asked))


@every_recipe
def test_reordering_candidates_reorders_scores(recipe: Recipe, lists: list[JudgedList]) -> None:
    head, asked = recipe.fit(lists), lists[0].asked
    order = [3, 0, 5, 1, 2, 4]
    turned = TextList(asked.features[order], asked.query, tuple(asked.titles[i] for i in order))

    np.testing.assert_allclose(head.scores(turned), head.scores(asked)[order], rtol=1e-4, atol=1e-5)


@every_recipe
def test_no_candidates_get_no_scores(recipe: Recipe, lists: list[JudgedList]) -> None:
    asked = TextList(np.zeros((0, 4), np.float32), lists[0].asked.query, ())

    assert recipe.fit(lists).scores(asked).shape == (0,)


@every_recipe
def test_one_list_cannot_be_learnt_from(recipe: Recipe, lists: list[JudgedList]) -> None:
    with pytest.raises(TooFewLists, match="1 judged lists, of which 1 would be held out"):
        recipe.fit(lists[:1])


@every_reader
def test_padding_changes_nothing(name: str, lists: list[JudgedList]) -> None:
    network, rng = a_network(name), np.random.default_rng(1)
    asked = lists[0].asked
    longer = TextList(asked.features[:1], pieces(rng, 20), (pieces(rng, 40),))

    among = logits(network, asked, longer)

    torch.testing.assert_close(among[:6], logits(network, asked), rtol=1e-4, atol=1e-5)


@every_reader
def test_what_stands_in_the_padding_is_not_read(name: str, lists: list[JudgedList]) -> None:
    network = a_network(name)
    batch = collate([judged.asked for judged in lists[:3]])
    dirty = batch._replace(
        query=batch.query.masked_fill(~batch.query_mask[:, :, None], 9.0),
        title=batch.title.masked_fill(~batch.title_mask[:, :, None], 9.0),
    )

    with torch.inference_mode():
        torch.testing.assert_close(network(dirty), network(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_the_order_of_word_pieces_matters(name: str, lists: list[JudgedList]) -> None:
    network, rng = a_network(name), np.random.default_rng(1)
    title, features = pieces(rng, 6), lists[0].asked.features[:1]
    query = lists[0].asked.query

    forward = logits(network, TextList(features, query, (title,)))
    backward = logits(network, TextList(features, query, (title[::-1],)))

    assert abs(float(forward - backward)) > 1e-3


@every_reader
def test_the_query_is_read_and_not_only_the_title(name: str, lists: list[JudgedList]) -> None:
    network, asked = a_network(name), lists[0].asked
    other = asked._replace(query=pieces(np.random.default_rng(1), 3))

    assert not torch.allclose(logits(network, asked), logits(network, other), atol=1e-3)


@every_reader
def test_training_starts_from_the_features_alone(name: str, lists: list[JudgedList]) -> None:
    network = TextNetwork(np.eye(4, dtype=np.float32), READERS[name](DIM, 8)).eval()
    asked = lists[0].asked
    other = asked._replace(query=pieces(np.random.default_rng(1), 3))

    torch.testing.assert_close(logits(network, asked), logits(network, other))


def test_a_reader_finds_what_no_feature_tells(lists: list[JudgedList]) -> None:
    rng = np.random.default_rng(2)
    hidden = [hide(judged, rng) for judged in lists]

    scores = {
        name: mean_ndcg(
            NetworkRecipe(name, dim=8, learning_rate=0.01, epochs=40, patience=10).fit(
                hidden[:100]
            ),
            hidden[100:],
        )
        for name in ("", *READERS)
    }

    assert every(scores[name] > scores[""] + 0.05 for name in READERS), scores


def hide(judged: JudgedList, rng: np.random.Generator) -> JudgedList:
    """Let the features say nothing, and a title have the query's pieces where it is relevant."""
    query = judged.asked.query
    titles = tuple(
        np.concatenate([query, title]) if relevant > 0.5 else title
        for title, relevant in zip(judged.asked.titles, judged.relevance, strict=True)
    )
    noise = rng.normal(size=judged.asked.features.shape).astype(np.float32)
    return JudgedList(TextList(noise, query, titles), judged.relevance)


@every_loss
def test_a_loss_is_less_for_the_right_order(loss: Callable[..., torch.Tensor]) -> None:
    relevance = torch.tensor([[1.0, 0.5, 0.0]])
    kept = torch.ones(1, 3)
    right, wrong = torch.tensor([[2.0, 0.0, -2.0]]), torch.tensor([[-2.0, 0.0, 2.0]])

    assert loss(right, relevance, kept) < loss(wrong, relevance, kept)


def test_the_pairs_of_a_batch_go_back_to_their_lists() -> None:
    rng = np.random.default_rng(0)
    batch = collate([a_list(rng, 2).asked, a_list(rng, 3).asked])

    assert batch.by_list(torch.arange(1.0, 6)).tolist() == [[1, 2, 0], [3, 4, 5]]


def test_what_is_held_out_is_not_learnt_from(lists: list[JudgedList]) -> None:
    training, validation = hold_out(lists, 0.1, seed=0)

    assert (len(training), len(validation)) == (108, 12)
    assert not {id(judged) for judged in training} & {id(judged) for judged in validation}


def test_a_network_ends_early_and_keeps_its_best_epoch(lists: list[JudgedList]) -> None:
    short, long = (QUICK._replace(patience=1, epochs=epochs) for epochs in (30, 60))

    asked = lists[0].asked
    np.testing.assert_array_equal(short.fit(lists).scores(asked), long.fit(lists).scores(asked))


@pytest.mark.parametrize("recipe", [NetworkRecipe("rnn"), NetworkRecipe(loss="hinge")])
def test_an_unknown_choice_is_refused_with_those_that_there_are(
    recipe: Recipe, lists: list[JudgedList]
) -> None:
    with pytest.raises(UnknownChoice, match=r"choose one of (cnn, lstm|lambda, listwise)"):
        recipe.fit(lists)


def test_without_lightgbm_only_lambdamart_is_missing(
    lists: list[JudgedList], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)

    with pytest.raises(MissingLightGBM, match="pip install lightgbm"):
        LambdaMart().fit(lists)


def test_importing_the_heads_does_not_load_lightgbm() -> None:
    look = "import sys, ranking.text_heads; sys.exit('lightgbm' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
