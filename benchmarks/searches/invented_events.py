"""What the customers of an invented shop viewed and bought in 2024.

Few products get most events, and which ones they are is drawn by a seed: best sellers have nothing
to do with most searches.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

COLUMNS = ("user", "session", "time", "type", "product", "quantity", "value")
EVENTS, USERS, BEST_SELLERS = 3_000, 150, 8
BEST_SELLER_SHARE, PURCHASE_SHARE = 0.3, 0.4
FIRST, DAYS = datetime(2024, 1, 1), 366  # 2024 was a leap year

Product = dict[str, str]
Event = tuple[str, str, str, str, str, int, str]


def draw_events(products: Sequence[Product], random: np.random.Generator) -> list[Event]:
    """Return visits of one to five events each, of users who come back, in order of time."""
    probabilities = popularity(len(products), random)
    events: list[Event] = []
    visit = 0
    while len(events) < EVENTS:
        visit += 1
        user = f"u{min(int(random.exponential(USERS / 3)), USERS - 1)}"
        start = FIRST + timedelta(seconds=int(random.integers(DAYS * 86_400)))
        seen = random.choice(len(products), size=int(random.integers(1, 6)), p=probabilities)
        chosen = (products[int(row)] for row in seen)
        events += _visit(user, f"v{visit}", start, chosen, random)
    return sorted(events[:EVENTS], key=lambda event: event[2])


def popularity(num_products: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a probability for each product: equal for the best sellers, falling for the others."""
    ranks = random.permutation(num_products)
    best = ranks < BEST_SELLERS
    shares: npt.NDArray[np.float64] = np.where(best, 0.0, 1 / (ranks + 1.0))
    shares *= (1 - BEST_SELLER_SHARE) / shares.sum()
    shares[best] = BEST_SELLER_SHARE / BEST_SELLERS
    return shares


def _visit(
    user: str,
    session: str,
    start: datetime,
    products: Iterator[Product],
    random: np.random.Generator,
) -> Iterator[Event]:
    for minutes, product in enumerate(products):
        time = (start + timedelta(minutes=minutes)).isoformat()
        bought = random.random() < PURCHASE_SHARE
        quantity = int(random.integers(1, 3)) if bought else 1
        value = f"{float(product['price']) * quantity:.2f}" if bought else ""
        kind = "purchase" if bought else "view"
        yield user, session, time, kind, product["id"], quantity, value
