"""Computes the loss of each batch of the towers, of this process's requests against all columns."""

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor
from torch.distributed.nn import functional as across

from retrieval.encoders.networks.precision import in_halves
from retrieval.towers.columns import PastColumns, take
from retrieval.towers.fusing import unit
from retrieval.towers.losses import LOSSES, matryoshka
from retrieval.towers.model import Towers, embed_products
from retrieval.towers.sampling import (
    MINED_FROM,
    NO_COLUMNS,
    BatchSampler,
    NegativeMiner,
    PastRequests,
    Requests,
    TowerInputs,
)
from retrieval.towers.settings import TowerTrainingSettings

NOW = -1  # in place of the number of a period
REFRESH = 300  # steps after which the table of product vectors is made anew


class BatchLoss:
    """Computes the loss of each step; has the table of product vectors between refreshes."""

    def __init__(
        self,
        towers: Towers,
        model: torch.nn.Module,
        accelerator: Accelerator,
        columns: PastColumns,
        requests: Requests,
        settings: TowerTrainingSettings,
    ) -> None:
        self._towers = towers
        self._model = model
        self._accelerator = accelerator
        self._past = columns
        self._period = 0
        self._columns = columns.of(0)
        self._requests = requests
        self._settings = settings
        self._loss = LOSSES[settings.loss]
        self._kind = accelerator.device.type
        native = torch.tensor(float(in_halves(settings.precision, self._kind)))
        self._in_halves = float(accelerator.reduce(native.to(accelerator.device), "mean")) == 1
        self._dims = [dim for dim in settings.dims if dim <= towers.shape.dim]
        self._bought = np.flatnonzero(requests.shares > 0)
        self._sampler = BatchSampler(
            requests,
            settings.batch_size,
            accelerator.num_processes,
            settings.seed,
            columns,
        )
        self.steps_an_epoch = self._sampler.steps_an_epoch
        self._table = np.zeros((columns.now.size, towers.shape.dim), np.float32)
        self._miner: NegativeMiner | None = None
        self.refresh()
        if settings.hard_negatives:
            self._miner = NegativeMiner(self._table, self._bought, settings.hard_negatives)

    def refresh(self) -> Float32[np.ndarray, "n d"]:
        """Make the table of product vectors, and the index that is mined, anew."""
        self._table[self._bought] = embed_products(self._towers, self._columns, self._bought)
        if self._miner is not None:
            self._miner.index(self._table)
        return self._table

    def refresh_now(self) -> Float32[np.ndarray, "n d"]:
        """Make the table of what is known now."""
        self._period, self._columns = NOW, self._past.now
        return self.refresh()

    def _see(self, period: int, *, stale: bool) -> None:
        """See the products as they were known where a period starts."""
        if period != self._period or stale:
            self._period, self._columns = period, self._past.of(period)
            self.refresh()

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss of one batch, of this process's requests against all columns."""
        numbers, period, random = self._sampler.step(step)
        self._see(period, stale=step > 0 and step % REFRESH == 0)
        processes, place = self._accelerator.num_processes, self._accelerator.process_index
        whole = [self._requests.take(part, random) for part in np.array_split(numbers, processes)]
        columns = self._sampler.columns(np.concatenate([part.drawn for part in whole]), period)
        luck = np.array_split(random.random((len(numbers), 1 + MINED_FROM)), processes)
        seen = random.random(len(columns.rows)) >= self._settings.drop_own
        past = whole[place]
        mined = self._mined(past, luck[place])
        own = np.array_split(columns.rows, processes)[place]
        own_seen = np.ones(len(own) + len(mined.rows), bool)
        own_seen[: len(own)] = np.array_split(seen, processes)[place]
        batch = take(self._columns, np.concatenate([own, mined.rows]))
        batch = batch._replace(own=batch.own * torch.from_numpy(own_seen))
        table = torch.from_numpy(self._table)
        with self._halves():
            vectors, meant, products = self._model(past.queries, batch, table)
        vectors, products = vectors.float(), products.float()
        shared = _gathered(products[: len(own)], processes)
        products = torch.cat([shared, products[len(own) :]])
        return self._compared(past, columns, mined, vectors, meant, products)

    def _compared(
        self,
        past: PastRequests,
        columns: TowerInputs,
        mined: TowerInputs,
        vectors: Float[Tensor, "b m d"],
        meant: Bool[Tensor, "b m"],
        products: Float[Tensor, "c d"],
    ) -> Float[Tensor, ""]:
        rows = np.concatenate([columns.rows, mined.rows])
        right = torch.from_numpy(past.right(rows))
        ignored = past.ignored(rows)
        fill = np.zeros(len(columns.rows), bool)
        fill[1:] = columns.rows[1:] == columns.rows[:-1]  # repeated, so that all have equal shares
        ignored[:, : len(columns.rows)] |= fill
        right[:, : len(columns.rows)] &= torch.from_numpy(~fill)
        if mined.own is not None:
            ignored[:, len(columns.rows) :] |= ~mined.own
            right[:, len(columns.rows) :] = False
        log_counts = torch.from_numpy(np.concatenate([columns.log_counts, mined.log_counts]))
        unfit = torch.from_numpy(ignored)

        def compare(dim: int) -> Float[Tensor, "b c"]:
            return similarities(vectors, meant, products, dim)

        def loss(similar: Float[Tensor, "b c"]) -> Float[Tensor, ""]:
            return self._loss(similar, right, unfit, log_counts, self._settings.temperature)

        return matryoshka(loss, compare, self._dims or [self._towers.shape.dim])

    def _halves(self) -> torch.autocast:
        return torch.autocast(self._kind, torch.bfloat16, enabled=self._in_halves)

    @torch.no_grad()
    def _mined(self, past: PastRequests, luck: Float64[np.ndarray, "b l"]) -> TowerInputs:
        """Return hard negatives; which of the vectors of a request looks for them is luck."""
        if self._miner is None:
            return NO_COLUMNS
        with self._halves():
            vectors, meant = self._towers.query(past.queries, torch.from_numpy(self._table))
        drawn = 1 + (luck[:, 0] * self._towers.query.interests).astype(np.int64)
        slot = torch.where(meant[:, 0], 0, torch.from_numpy(drawn))
        looking = vectors[torch.arange(len(vectors)), slot].float().numpy()
        return self._miner.mine(past, looking, luck[:, 1:])


def similarities(
    vectors: Float[Tensor, "b m d"],
    meant: Bool[Tensor, "b m"],
    products: Float[Tensor, "c d"],
    dim: int,
) -> Float[Tensor, "b c"]:
    """Return each product's best cosine with the meant vectors of a request, cut to `dim`."""
    cut = torch.einsum("bmd,cd->bmc", unit(vectors[..., :dim]), unit(products[..., :dim]))
    return cut.masked_fill(~meant[..., None], -torch.inf).amax(dim=1)


def _gathered(products: Float[Tensor, "c d"], processes: int) -> Float[Tensor, "all d"]:
    """Return the columns of all processes, through which gradients flow back to each."""
    if processes == 1:
        return products
    return torch.cat(across.all_gather(products))  # type: ignore[no-untyped-call]
