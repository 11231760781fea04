"""Imports of logs in tests: what is kept of their acts."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.importers.exports.auto import import_planned, plan
from pipelines.progress import silent
from pipelines.shop.quality import QualityReport

PRODUCTS = "id,title,price,sku\np1,Oat milk,2,A1\np2,Whole milk,1,A2\np3,Rye bread,3,A3\n"

Kept = list[dict[str, Any]]


def kept_of(
    folder: Path, log: list[dict[str, Any]] | str | bytes, name: str = "log.jsonl", **said: str
) -> tuple[Kept, QualityReport]:
    """Import a log beside three products, recognised by itself; return its acts in order."""
    (folder / "products.csv").write_text(PRODUCTS)
    path = folder / name
    if isinstance(log, str | bytes):
        path.write_bytes(log if isinstance(log, bytes) else log.encode())
    elif name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(log), path)
    elif name.endswith(".json"):
        path.write_bytes(msgspec.json.encode(log))
    else:
        path.write_bytes(b"\n".join(map(msgspec.json.encode, log)))
    planned = plan(folder / "products.csv", path, **said)
    report = import_planned(planned, folder / "products.csv", folder / "shop", silent)
    return acts_of(folder / "shop"), report


def acts_of(shop: Path) -> Kept:
    """Return what a shop keeps of its acts, by instant and line."""
    files = sorted(shop.glob("events/day=*/*.parquet"))
    rows = [row for one in files for row in pq.read_table(one, partitioning=None).to_pylist()]
    return sorted(rows, key=lambda row: (row["at"], row["line"], row["type"] != "search"))


def told(acts: Kept, *names: str) -> list[tuple[Any, ...]]:
    """Return some columns of acts."""
    return [tuple(act[name] for name in names) for act in acts]
