"""The purchase log of a release: all purchases by shopper and time, and one shopper's history."""

import msgspec
import numpy as np
from jaxtyping import Int64

from retrieval.behaviour.purchases import NO_HISTORY, History, Purchases


class PurchaseLog(msgspec.Struct, frozen=True):
    """All purchases before a moment, one entry a product and basket, by shopper and time."""

    user_ids: np.ndarray  # sorted
    offsets: Int64[np.ndarray, "u1"]  # of each shopper's entries
    entries: History

    @classmethod
    def of(cls, user_ids: np.ndarray, purchases: Purchases) -> "PurchaseLog":
        """Index purchases that are sorted by shopper."""
        offsets = np.searchsorted(purchases.users, np.arange(len(user_ids) + 1)).astype(np.int64)
        return cls(user_ids, offsets, History(purchases.rows, purchases.seconds, purchases.baskets))

    def history(self, user_id: str | None, at_seconds: int) -> History:
        """Return what this shopper bought before a moment; empty for a stranger."""
        longest = self.user_ids.dtype.itemsize // 4
        if user_id is None or len(user_id) > longest or "\0" in user_id:
            return NO_HISTORY
        name = np.asarray(user_id, self.user_ids.dtype)
        user = int(np.searchsorted(self.user_ids, name))
        if user == len(self.user_ids) or self.user_ids[user] != name:
            return NO_HISTORY
        start, end = self.offsets[user], self.offsets[user + 1]
        end = start + np.searchsorted(self.entries.seconds[start:end], at_seconds, side="left")
        return History(*(column[start:end] for column in self.entries))


def purchases_before(purchases: Purchases, until_seconds: int) -> Purchases:
    """Return the purchases before a moment, sorted by user, time, basket and row.

    Of several lines of a product in a basket the first one stays.
    """
    past = Purchases(*(column[purchases.seconds < until_seconds] for column in purchases))
    order = np.lexsort((past.seconds, past.rows, past.baskets, past.users))
    users, rows, _, baskets = (column[order] for column in past)
    new = np.ones(len(rows), bool)
    new[1:] = (np.diff(users) != 0) | (np.diff(baskets) != 0) | (np.diff(rows) != 0)
    users, rows, seconds, baskets = (column[order[new]] for column in past)
    order = np.lexsort((rows, baskets, seconds, users))
    return Purchases(users[order], rows[order], seconds[order], baskets[order])
