"""Fits the networks among the heads: one loop, whatever the reader and the loss."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from ranking.network.losses import LOSSES, Loss
from ranking.network.validation import ndcg_of_logits
from ranking.text_heads.lists import JudgedList, TextList, collate
from ranking.text_heads.networks import READERS, TextNetwork
from ranking.text_heads.types import Head

T = TypeVar("T")
PAGE = 10  # held-out queries are judged by nDCG of the first so many


class UnknownChoice(ValueError):
    """A reader or a loss that there is not; names those that there are."""


class TooFewLists(ValueError):
    """Fewer lists than are needed to learn from some and to hold others out."""


class NetworkHead:
    """A fitted network."""

    def __init__(self, network: TextNetwork) -> None:
        self._network = network

    def scores(self, asked: TextList) -> Float32[np.ndarray, "c"]:
        """Return one logit a candidate."""
        if not asked.titles:
            return np.zeros(0, np.float32)
        self._network.eval()
        with torch.inference_mode():
            logits: Float32[np.ndarray, c] = self._network(collate([asked])).numpy()
        return logits


class NetworkRecipe(NamedTuple):
    """How a network is made and taught; without a reader it is linear in the match features."""

    reader: str = ""  # a name in READERS
    loss: str = "cross_entropy"  # a name in LOSSES
    dim: int = 32
    epochs: int = 12
    patience: int = 3  # epochs that may pass without a better one
    lists_at_once: int = 128
    learning_rate: float = 0.001
    feature_learning_rate: float = 0.02  # of what is linear in the features
    shrinkage: float = 0.01  # of the squares of its weights, in the loss
    held_out: float = 0.1  # share of the queries
    seed: int = 0

    def fit(self, lists: Sequence[JudgedList]) -> NetworkHead:
        """Return the network as it was when it ordered the held-out queries best."""
        loss = _chosen("loss", self.loss, LOSSES)
        training, validation = hold_out(lists, self.held_out, self.seed)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = self._network(training)
            _teach(network, training, validation, loss, self)
        return NetworkHead(network)

    def _network(self, lists: Sequence[JudgedList]) -> TextNetwork:
        features = np.concatenate([judged.asked.features for judged in lists])
        reader = None
        if self.reader:
            token_dim = lists[0].asked.query.shape[1]
            reader = _chosen("reader", self.reader, READERS)(token_dim, self.dim)
        return TextNetwork(features, reader)


def hold_out(
    lists: Sequence[JudgedList], share: float, seed: int
) -> tuple[list[JudgedList], list[JudgedList]]:
    """Split lists at random into those to learn from and a share of them to stop by."""
    order = np.random.default_rng(seed).permutation(len(lists))
    count = max(round(share * len(lists)), 1)
    if count >= len(lists):
        raise TooFewLists(
            f"{len(lists)} judged lists, of which {count} would be held out; give at least 2"
        )
    return [lists[i] for i in order[count:]], [lists[i] for i in order[:count]]


def mean_ndcg(head: Head, lists: Sequence[JudgedList]) -> float:
    """Return nDCG@10 over lists; those without anything relevant are left out."""
    values = [
        ndcg_of_logits(head.scores(judged.asked), judged.relevance, PAGE)
        for judged in lists
        if judged.relevance.any()
    ]
    return float(np.mean(values)) if values else 0.0


def _teach(
    network: TextNetwork,
    training: Sequence[JudgedList],
    validation: Sequence[JudgedList],
    loss: Loss,
    recipe: NetworkRecipe,
) -> None:
    optimizer = _optimizer(network, recipe)
    random = np.random.default_rng(recipe.seed)
    best, best_ndcg, waited = _copy(network), -1.0, 0
    for _ in range(recipe.epochs):
        network.train()
        for part in _parts(training, recipe.lists_at_once, random):
            cost = _cost(network, part, loss)
            cost = cost + recipe.shrinkage * network.from_features.weight.square().sum()
            optimizer.zero_grad()
            torch.autograd.backward(cost)
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        found = mean_ndcg(NetworkHead(network), validation)
        waited += 1
        if found > best_ndcg:
            best, best_ndcg, waited = _copy(network), found, 0
        if waited == recipe.patience:
            break
    network.load_state_dict(best)


def _optimizer(network: TextNetwork, recipe: NetworkRecipe) -> torch.optim.Optimizer:
    """Let what is linear in the features learn faster than the reader."""
    linear = list(network.from_features.parameters())
    reader = [p for name, p in network.named_parameters() if not name.startswith("from_features")]
    groups = [{"params": linear, "lr": recipe.feature_learning_rate, "weight_decay": 0.0}]
    if reader:
        groups.append({"params": reader, "lr": recipe.learning_rate, "weight_decay": 0.01})
    return torch.optim.AdamW(groups)


def _parts(
    lists: Sequence[JudgedList], size: int, random: np.random.Generator
) -> Iterator[list[JudgedList]]:
    """Go once over the lists in a new order."""
    order = random.permutation(len(lists))
    for at in range(0, len(lists), size):
        yield [lists[i] for i in order[at : at + size]]


def _cost(network: TextNetwork, part: Sequence[JudgedList], loss: Loss) -> Float[Tensor, ""]:
    batch = collate([judged.asked for judged in part])
    relevance = torch.from_numpy(np.concatenate([judged.relevance for judged in part]))
    return loss(batch.by_list(network(batch)), batch.by_list(relevance), batch.kept.float())


def _chosen(what: str, name: str, choices: Mapping[str, T]) -> T:
    try:
        return choices[name]
    except KeyError:
        raise UnknownChoice(
            f"there is no {what} {name!r}; choose one of {', '.join(choices)}"
        ) from None


def _copy(network: TextNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}
