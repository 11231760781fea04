"""Runs the network of a ranker with torch on the processor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float16, Float32, Int64
from torch import Tensor

from ranking.network.batch import Inputs, batch_of, inputs
from ranking.network.cross_attention import CrossAttentionRanker
from ranking.rank_call import RankCall

if TYPE_CHECKING:  # it imports what a machine that only ranks may lack
    from ranking.answers import Explanation


class TorchRuntime:
    """The network on the processor; several requests are padded and run as one batch."""

    def __init__(self, network: CrossAttentionRanker, tokens: Float16[np.ndarray, "n d"]) -> None:
        self._network = network.eval()
        self._tokens = tokens

    def logits(self, calls: Sequence[RankCall]) -> list[Float32[np.ndarray, "c o"]]:
        """Return the logits of each request."""
        with torch.inference_mode():
            logits = self._network(*self.inputs(calls)).numpy()
        return [logits[place, : len(call.rows)] for place, call in enumerate(calls)]

    def explain(
        self, call: RankCall, outcome: int, places: Int64[np.ndarray, "k"]
    ) -> "Explanation":
        """Explain the logits of one outcome for the candidates at these places."""
        from ranking.network.explanation import explain

        with torch.no_grad():
            inputs = self.inputs([call])
        return explain(self._network, inputs, outcome, places)

    def inputs(self, calls: Sequence[RankCall]) -> Inputs:
        """Return what the network takes of these requests."""
        batch = batch_of(calls, self._network.shape)
        return inputs(self._network, batch, self._tokens_of)

    def _tokens_of(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self._tokens[rows.clamp(min=0).numpy()]).float()
