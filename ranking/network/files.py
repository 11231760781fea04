"""The files of a ranker: its network, what it is, and the token of every product."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import torch
from jaxtyping import Float16
from safetensors.torch import load_file, save_file

from index import save_array
from ranking.calibration.calibration import Calibration
from ranking.calibration.calibration import save as write
from ranking.features.definitions import NAMES
from ranking.network.architecture import (
    ABOUT,
    TOKEN_WEIGHTS,
    TOKENS,
    Architecture,
    read_architecture,
)
from ranking.network.cross_attention import CrossAttentionRanker, ProductTokens
from ranking.network.examples import RankedProducts
from ranking.network.training import TrainedRanker

TOKENS_AT_ONCE = 8_192


def open_network(folder: Path) -> tuple[Architecture, CrossAttentionRanker]:
    """Read what a folder of `save` holds apart from the tokens; UnknownRanker where it cannot."""
    about = read_architecture(folder)
    network = CrossAttentionRanker(about.shape)
    network.load_state_dict(load_file(folder / "ranker.safetensors"))
    return about, network.eval()


def save(
    trained: TrainedRanker,
    products: RankedProducts,
    windows: tuple[str, ...],
    calibrations: Mapping[str, Calibration],
    folder: Path,
) -> None:
    """Write the network, where it is better, and every product's token, computed once."""
    model = trained.model
    folder.mkdir(parents=True, exist_ok=True)
    about = Architecture(
        shape=model.ranker.shape,
        features=NAMES,
        outcome=trained.outcome,
        windows=windows,
        facts=model.facts.codes,
    )
    save_network(about, model.ranker, folder)
    save_array(folder / TOKENS, product_tokens(model.tokens, products))
    save_file(model.tokens.state_dict(), folder / TOKEN_WEIGHTS)
    write(calibrations, folder)


def save_tokens(trained: Path, products: RankedProducts, folder: Path) -> None:
    """Write the tokens of other products, as a ranker of `save` makes them.

    A category below 0 is one that it has not seen: the mean of all stands in for it.
    """
    weights = load_file(trained / TOKEN_WEIGHTS)
    known = weights["from_category.weight"]
    weights["from_category.weight"] = torch.cat([known, known.mean(dim=0, keepdim=True)])
    dim, vector_dim = weights["from_vector.weight"].shape
    tokens = ProductTokens(vector_dim, len(known) + 1, dim)
    tokens.load_state_dict(weights)
    numbers = np.where(products.categories < 0, len(known), products.categories)
    told = products._replace(categories=numbers.astype(np.int32))
    save_array(folder / TOKENS, product_tokens(tokens.eval(), told))


def save_network(about: Architecture, network: CrossAttentionRanker, folder: Path) -> None:
    """Write what `open_network` reads: a network, and what it is, of the shape that it has."""
    told = msgspec.structs.replace(about, shape=network.shape)
    (folder / ABOUT).write_bytes(msgspec.json.encode(told))
    save_file(network.state_dict(), folder / "ranker.safetensors")


def product_tokens(tokens: ProductTokens, products: RankedProducts) -> Float16[np.ndarray, "n d"]:
    """Return one token a product, in half precision: 2 d bytes."""
    parts = []
    with torch.inference_mode():
        for at in range(0, len(products.vectors), TOKENS_AT_ONCE):
            vectors = np.array(products.vectors[at : at + TOKENS_AT_ONCE])
            categories = products.categories[at : at + TOKENS_AT_ONCE].astype(np.int64)
            part = tokens(torch.from_numpy(vectors), torch.from_numpy(categories))
            parts.append(part.half().numpy())
    return np.concatenate(parts)
