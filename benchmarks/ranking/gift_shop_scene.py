"""What the scene adds to the ranker of a gift shop before Christmas.

    python -m benchmarks gift_shop_scene --data DATA

DATA holds online_retail/transactions.parquet (UCI Online Retail). Known is what was bought before
2011-10-01, asked each known customer's first basket of at least two products from October on and,
apart, in December. The candidates are the first 500 of retrieval. The ranker is trained whole, and
again without its scene: no token says hour, weekday, month or a coming holiday, and no feature
says how a product sold in these weeks a year before.
"""

import argparse
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from benchmarks.machine import run_benchmark
from benchmarks.next_basket.behaviour import DECEMBER, START
from benchmarks.ranking.supermarket_ranking import (
    Codes,
    TestRequests,
    ask,
    changed,
    difference,
    fit,
    gains,
    past_of,
    release_of,
    trait_codes,
    without,
    without_scene,
)
from pipelines.building.context import BuildContext
from pipelines.building.steps.ranker import TrainingRequests
from pipelines.config.loading import load, moment
from pipelines.metrics.intervals import mean_interval
from pipelines.release.parts import open_parts
from pipelines.shop.purchases.log import Basket, next_baskets, read_purchases
from pipelines.shop.writer import ShopWriter
from pipelines.tables import table
from pipelines.training.ranker.setup import training_settings
from ranking.features.definitions import NAMES
from ranking.network.examples import Example
from ranking.network.model import RankerSettings
from retrieval import Candidates
from retrieval.encoded_query import EncodedQuery
from retrieval.retriever import Retriever
from retrieval.types import local_seconds

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice")
SEASON = [NAMES.index("season_score")]
CANDIDATES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--set", action="append", default=[], help="an override of the defaults")
    given = parser.parse_args()
    config = load(None, [*given.set, "ranking.train=false"])
    torch.set_num_threads(config.threads)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_shop(given.data / "online_retail/transactions.parquet", root / "shop")
        job = release_of(root, config, START)
        past, codes = past_of(job), trait_codes(job.shop)
        asked = {
            title: ask(job, known_baskets(job, since), propose)
            for title, since in (("from October on", START), ("in December", DECEMBER))
        }
    compare(past, asked, codes, training_settings(config))


def compare(
    past: TrainingRequests, asked: dict[str, TestRequests], codes: Codes, how: RankerSettings
) -> None:
    """Train with the scene and without it, and print what each makes of the next baskets."""

    def no_scene(one: Example) -> Example:
        return without(without_scene(one, codes), SEASON)

    both = TestRequests(
        *(list(chain.from_iterable(column)) for column in zip(*asked.values(), strict=True))
    )
    found = {
        "retrieval": gains(both, [-np.arange(len(e.rows)) for e in both.requests]),
        "without scene": fit("without scene", *changed(past, both, no_scene), how)[0],
        "whole": fit("whole", past, both, how)[0],
    }
    ahead = found["whole"] - found["without scene"]
    lines, start = [], 0
    for title, part in asked.items():
        end = start + len(part.sizes)
        lines += [line(title, name, v[start:end], ahead[start:end]) for name, v in found.items()]
        start = end
    print(table(("requests", "method", "nDCG@20", "95 %", "whole against without scene"), lines))


def propose(stage: Retriever, request: EncodedQuery) -> Candidates:
    return stage.retrieve(request, CANDIDATES)


def line(title: str, name: str, values: np.ndarray, ahead: np.ndarray) -> tuple[str, ...]:
    [mean] = mean_interval(values[:, None])
    return (
        f"{title} ({len(values):,})",
        name,
        f"{mean.mean:.4f}",
        f"{mean.low:.4f} to {mean.high:.4f}",
        difference(ahead) if name == "whole" else "",
    )


def write_shop(path: Path, folder: Path) -> None:
    """Write the sales to known customers as a shop: no returns, no postage."""
    if not path.is_file():
        raise SystemExit(f"{path} is missing; --data is a folder with it, from its publisher")
    lines = pq.read_table(path, columns=[*COLUMNS, "CustomerID", "Country"])
    lines = lines.filter(
        pc.and_(pc.greater(lines["Quantity"], 0), pc.is_valid(lines["CustomerID"]))
    )
    real = pc.match_substring_regex(lines["StockCode"].cast(pa.string()), r"^\d{5}")
    lines = lines.filter(real)
    users = lines["CustomerID"].cast(pa.int64()).cast(pa.string())
    codes = lines["StockCode"].cast(pa.string())
    named = (
        lines.append_column("code", codes)
        .group_by("code")
        .aggregate([("Description", "max"), ("UnitPrice", "approximate_median")])
    )
    living = (
        pa.table({"id": users, "country": lines["Country"]})
        .group_by("id")
        .aggregate([("country", "max")])
    )
    with ShopWriter(folder, name="Online Retail", source="table") as shop:
        shop.add_products(
            pa.table(
                {
                    "id": named["code"],
                    "title": named["Description_max"],
                    "price": named["UnitPrice_approximate_median"],
                }
            )
        )
        shop.add_events(
            pa.table(
                {
                    "type": pa.repeat("purchase", lines.num_rows),
                    "user": users,
                    "session": lines["InvoiceNo"].cast(pa.string()),
                    "time": lines["InvoiceDate"].cast(pa.timestamp("s")),
                    "product": codes,
                    "quantity": lines["Quantity"].cast(pa.float64()),
                }
            )
        )
        traits = [[("country", name)] for name in living["country_max"].to_pylist()]
        pairs = pa.array(traits, pa.map_(pa.string(), pa.string()))
        shop.set_users(pa.table({"id": living["id"], "traits": pairs}))


def known_baskets(job: BuildContext, since: str) -> list[Basket]:
    """Return the first basket from a day on of each customer who had bought before the cut."""
    products = open_parts(job.folder).products
    log = read_purchases(job.shop, products, None)
    known = set(read_purchases(job.shop, products, moment(START)).user_ids.tolist())
    begin, end = local_seconds(moment(since)), int(log.purchases.seconds.max()) + 1
    found = next_baskets(log.user_ids, log.purchases, begin, end)
    return [basket for basket in found if basket.user_id in known]


if __name__ == "__main__":
    run_benchmark(main)
