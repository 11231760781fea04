"""A shop window that needs no release: a fake engine, the application, and a real server of it."""

import asyncio
import io
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from math import inf
from typing import Any

import pyarrow as pa
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image

from index import FilterError
from index.columns.filter_masks import matching
from pipelines.ads.campaigns.eligibility import Shelf
from pipelines.config.place import ShopPlace
from pipelines.config.sections import Config, ShopConfig
from pipelines.errors import RequestError
from pipelines.live.change_log import LiveError, Outcome
from pipelines.live.changes import Change, RejectedChange, Upsert
from pipelines.serving.app import create_app
from pipelines.serving.connections.http_server import HttpServer
from pipelines.serving.connections.listening import bound_socket
from retrieval import Placed, Product, Query, Slate, Stage
from retrieval.encoders.pictures import BrokenPicture, open_picture
from retrieval.types import Availability

COLOURS = ("#c4573a", "#2f6690", "#5b8e7d", "#e0a458", "#8d4b7e", "#7a6c5d", "#3f7d4e")
SHELF = (
    ("p1", "Oat milk, barista, 1 l", "Private", "Dairy > Milk > Plant milk", 2.29),
    ("p2", "Rye bread with seeds, 500 g", "National", "Bakery > Bread > Rye", 3.49),
    ("p3", "<script>document.title = 'owned'</script>", "<b>Bold</b>", "<i>Hostile</i>", 1.0),
    ("p4", "Cheddar, extra mature, 250 g", "National", "Dairy > Cheese", 4.15),
    ("p5", "Tomatoes on the vine, loose", "Private", "Produce > Vegetables", None),
    ("a/b?c#d%20", "A product whose id is a strange path, with a long title that wraps", "Private",
     "Household > Cleaning", 12.5),
    ("p7", "Orange juice with pulp", "National", "Drinks > Juice", 3.05),
)  # fmt: skip
PRODUCTS = tuple(
    Product(
        id=product_id,
        title=title,
        brand=brand,
        categories=(category,),
        price=price,
        currency="USD",
        availability=Availability.OUT_OF_STOCK if product_id == "p4" else Availability.IN_STOCK,
    )
    for product_id, title, brand, category, price in SHELF
)
TABLE = pa.table(
    {
        "brand": [p.brand for p in PRODUCTS],
        "price": pa.array([p.price for p in PRODUCTS], pa.float64()),
    }
)


class FakeEngine:
    """Answers from seven products, in the order of the shelf; refuses what the real one would."""

    release = "20171115-031500-fake"
    newest_change = 0
    place = ShopPlace.of(ShopConfig())

    def __init__(self) -> None:
        self.asked: list[Query] = []
        self.threads: set[str] = set()
        self.taken: list[Change] = []
        self.disk_is_full = False

    def answer(self, query: Query, stage: Stage = Stage.RANKING, spare_ms: float = inf) -> Slate:
        self.asked.append(query)
        self.threads.add(threading.current_thread().name)
        chosen = [p for p, fits in zip(PRODUCTS, _fits(query), strict=True) if fits]
        if query.candidates is not None:
            chosen = [p for p in chosen if p.id in query.candidates]
        known = {p.id for p in PRODUCTS}
        return Slate(
            products=tuple(
                _placed(place, p, query, stage) for place, p in enumerate(chosen[: query.k])
            ),
            stage=stage,
            release=self.release,
            timings_ms={"encode": 1.25, "retrieve": 3.5, "rank": 2.75},
            missing=tuple(c for c in query.candidates or () if c not in known),
        )

    def change(self, changes: Sequence[Change]) -> "Future[list[Outcome]]":
        known = {p.id for p in PRODUCTS}
        outcome: Future[list[Outcome]] = Future()
        if self.disk_is_full:
            outcome.set_exception(LiveError("the disk is full"))
            return outcome
        refused = [not isinstance(c, Upsert) and c.id not in known for c in changes]
        self.taken += [c for c, no in zip(changes, refused, strict=True) if not no]
        numbers = iter(range(len(self.taken) - len(changes) + sum(refused) + 1, 10**9))
        unknown = RejectedChange(404, "id", "is no product of this shop")
        outcome.set_result([unknown if no else next(numbers) for no in refused])
        return outcome

    def shelves(self, names: Sequence[str]) -> dict[str, Shelf]:
        known = {p.id: Shelf(p) for p in PRODUCTS}
        return {name: known.get(name, Shelf(None)) for name in names}

    def picture(self, product_id: str) -> tuple[bytes, str] | None:
        place = next((i for i, p in enumerate(PRODUCTS) if p.id == product_id), None)
        if place is None or product_id == "p5":
            return None
        return png(COLOURS[place]), "text/html" if product_id == "p7" else "image/png"

    def shoppers(self, limit: int) -> list[str]:
        return ["1228", "906", "<i>7</i>"][:limit]

    def complete(self, text: str, k: int) -> list[str]:
        return [p.title for p in PRODUCTS if p.title.lower().startswith(text.lower())][:k]

    def about(self) -> dict[str, Any]:
        return {
            "name": "A supermarket of 2017",
            "release": self.release,
            "products": len(PRODUCTS),
            "pictures": "drawn",
            "until": "2017-11-15T00:00:00",
            "days": ["2017-01-01", "2017-11-14"],
            "quality": {"recall@100": 0.998, "ranking": {"ndcg@20": 0.2134}},
        }


def png(colour: str, size: tuple[int, int] = (64, 64)) -> bytes:
    """Return a picture of one colour."""
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()


def _fits(query: Query) -> list[bool]:
    if query.image is not None:
        try:
            open_picture(query.image)
        except BrokenPicture as e:
            raise RequestError("image", str(e)) from None
    if not query.filter:
        return [True] * len(PRODUCTS)
    try:
        return list(matching(TABLE, query.filter))
    except FilterError as e:
        raise RequestError("filter", str(e)) from None


def _placed(place: int, product: Product, query: Query, stage: Stage) -> Placed:
    return Placed(
        position=place + 1,
        product=product,
        score=1 / (place + 1),
        sponsored=place == 1,
        why=("matches what you asked for",) if query.is_search else ("you bought it 6 days ago",),
        channels={"semantic": 0.71, "repeat": 12.5} if query.explain else {},
        features={"bought_before": 1.0, "trend": 0.0} if query.explain else {},
    )


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def picture() -> bytes:
    return png("#c4573a")


@pytest.fixture
def client(engine: FakeEngine) -> Iterator[TestClient[Litestar]]:
    with TestClient(create_app(engine, Config())) as client:
        yield client


@pytest.fixture
def serve() -> Callable[[Litestar], AbstractContextManager[str]]:
    """A real server of an application, for as long as a `with` lasts."""
    return served


@pytest.fixture
def address(engine: FakeEngine) -> Iterator[str]:
    """The address of a real server, in a thread of this process."""
    with served(create_app(engine, Config())) as address:
        yield address


@contextmanager
def served(app: Litestar) -> Iterator[str]:
    """Serve on a free port until the block ends."""
    listener = bound_socket(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    stop = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=[_serve_until(stop, app, listener)])
    thread.start()
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop within ten seconds"


async def _serve_until(stop: threading.Event, app: Litestar, listener: socket.socket) -> None:
    server = HttpServer(app)
    serving = asyncio.create_task(server.serve(listener))
    await asyncio.to_thread(stop.wait)
    server.stop()
    await serving


def _wait_for(url: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
