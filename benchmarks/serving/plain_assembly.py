"""The usual libraries put together, to serve beside Vetrina: encode, find 200, rank, answer.

sentence-transformers reads the query, hnswlib finds 200 products, LightGBM with 500 trees orders
them, and FastAPI answers. It is run as a script by a Python that has these packages:

    python plain_assembly.py SHOP RELEASE PORT

Products and purchases come from the shop folder, vectors from the release, so that both sides
search the same ones; the trees learn which of 200 products of a shopper's past were bought next.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

CANDIDATES, TREES, BASKETS = 200, 500, 400


def app(shop: Path, release: Path) -> Any:
    """Return the application with two routes, /search and /recommend."""
    import hnswlib
    import lightgbm
    import numpy as np
    import pyarrow.parquet as pq
    import torch
    from fastapi import Body, FastAPI
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    products = pq.read_table(shop / "products.parquet").to_pylist()
    row_of = {product["id"]: row for row, product in enumerate(products)}
    events = pq.read_table(shop / "events", columns=["user", "product", "type"]).to_pylist()
    bought = [(e["user"], row_of[e["product"]]) for e in events if e["product"] in row_of]
    sold = np.log1p(np.bincount([row for _, row in bought], minlength=len(products)))
    price = np.log1p([product["price"] or 0.0 for product in products])
    own: dict[str, Counter[int]] = {}
    for user, row in bought:
        own.setdefault(user, Counter())[row] += 1

    joined = np.load(release / "vectors" / "joined.npy", mmap_mode="r")[:, :384]
    texts = np.asarray(joined) / np.linalg.norm(joined, axis=1, keepdims=True)
    model = SentenceTransformer("all-MiniLM-L6-v2" if len(sys.argv) < 5 else sys.argv[4])
    index = hnswlib.Index(space="ip", dim=384)
    index.init_index(len(texts), M=16, ef_construction=100)
    index.add_items(texts, num_threads=2)
    index.set_ef(2 * CANDIDATES)  # with fewer it finds too few now and then, and fails
    index.set_num_threads(1)
    popular = np.argsort(-sold)[:CANDIDATES]

    def features(rows: Any, cosines: Any, user: str | None) -> Any:
        habit = own.get(user or "", Counter())
        times = np.array([habit[row] for row in rows.tolist()], np.float32)
        return np.stack([cosines, sold[rows], price[rows], times, np.log1p(times)], axis=1)

    def candidates(user: str | None) -> Any:
        habit = [row for row, _ in own.get(user or "", Counter()).most_common(CANDIDATES // 2)]
        return np.array(list(dict.fromkeys([*habit, *popular.tolist()]))[:CANDIDATES])

    random = np.random.default_rng(0)
    x, y = [], []
    for user in random.choice(list(own), min(BASKETS, len(own)), replace=False):
        rows = candidates(user)
        x.append(features(rows, np.zeros(len(rows)), user))
        y.append([own[user][row] > 1 for row in rows.tolist()])
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(np.concatenate(x), np.concatenate(y))
    trees = lightgbm.train(settings, data, TREES)

    def page(rows: Any, cosines: Any, user: str | None, k: int) -> dict[str, Any]:
        scores = trees.predict(features(rows, cosines, user), num_threads=1)
        order = np.argsort(-scores)[:k]
        placed = zip(rows[order].tolist(), scores[order].tolist(), strict=True)
        return {"products": [{"product": products[row], "score": score} for row, score in placed]}

    server, body = FastAPI(), Body()

    @server.post("/v1/search")
    def search(asked: dict[str, Any] = body) -> dict[str, Any]:
        [query] = model.encode([asked["text"]], normalize_embeddings=True)
        [rows], [distances] = index.knn_query(query, k=CANDIDATES)
        return page(rows.astype(np.int64), 1 - distances, asked.get("user"), asked.get("k", 20))

    @server.post("/v1/recommend")
    def recommend(asked: dict[str, Any] = body) -> dict[str, Any]:
        rows = candidates(asked.get("user"))
        return page(rows, np.zeros(len(rows)), asked.get("user"), asked.get("k", 20))

    return server


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app(Path(sys.argv[1]), Path(sys.argv[2])), port=int(sys.argv[3]), log_level="error")
