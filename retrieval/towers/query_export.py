"""Writes the query tower of trained towers as a network for ONNX Runtime."""

from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn

from retrieval.encoders.networks.onnx_export import quiet_export, unchecked_shapes
from retrieval.towers.model import Towers
from retrieval.towers.query import QueryBatch, QueryTower
from retrieval.towers.query_network import INPUTS, NETWORK


class OneRequest(nn.Module):
    """The query tower for one request, without a batch axis."""

    def __init__(self, tower: QueryTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(  # noqa: PLR0913 - the inputs of a request
        self,
        text: Float[Tensor, "v"],
        picture: Float[Tensor, "p"],
        marked: Float[Tensor, "l d"],
        marks: Float[Tensor, "l"],
        recent: Float[Tensor, "r d"],
        recent_facts: Float[Tensor, "r 2"],
        facts: Int64[Tensor, "f"],
    ) -> Float[Tensor, "m d"]:
        """Return the vectors of the request, zero those that are not meant."""
        # Not `len`: it would fix the length in the exported network.
        places = torch.arange(marked.shape[0] + recent.shape[0])
        queries = QueryBatch(
            text=rearrange(text, "v -> 1 v"),
            picture=rearrange(picture, "p -> 1 p"),
            marked=rearrange(places[: marked.shape[0]], "l -> 1 l"),
            marks=rearrange(marks, "l -> 1 l"),
            recent=rearrange(places[marked.shape[0] :], "r -> 1 r"),
            recent_facts=rearrange(recent_facts, "r t -> 1 r t"),
            facts=rearrange(facts, "f -> 1 f"),
        )
        vectors, meant = self.tower(queries, torch.cat([marked, recent]))
        answer: Tensor = rearrange(vectors * meant[..., None], "1 m d -> m d")
        return answer


def write_query_network(towers: Towers, folder: Path) -> None:
    """Write it into the folder of saved towers, for requests of any history, marks and facts."""
    shape = towers.shape
    marked, recent, facts = 2, 5, 3
    example = (
        torch.randn(shape.text_dim),
        torch.randn(max(shape.picture_dim, 1)),
        torch.randn(marked, shape.dim),
        torch.randn(marked),
        torch.randn(recent, shape.dim),
        torch.rand(recent, 2),
        torch.arange(1, 1 + facts),
    )
    of_marked, of_recent, of_facts = ({0: torch.export.Dim(name)} for name in ("l", "r", "f"))
    with quiet_export(), unchecked_shapes():
        torch.onnx.export(
            OneRequest(towers.query).eval(),
            example,
            folder / NETWORK,
            input_names=list(INPUTS),
            output_names=["vectors"],
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=(None, None, of_marked, of_marked, of_recent, of_recent, of_facts),
        )
