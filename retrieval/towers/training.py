"""Trains the towers on requests whose outcome is known: the loop on one screen, then its parts."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor
from torch.distributed.nn import functional as across

from index import FaissIndex
from retrieval.encoders.precision import Precision, in_halves
from retrieval.towers.columns import ProductColumns, take
from retrieval.towers.fusing import unit
from retrieval.towers.losses import LOSSES, matryoshka
from retrieval.towers.model import Towers, embed_products
from retrieval.towers.query import QueryBatch

WARM_UP = 0.05  # share of the training in which the learning rate rises
REFRESH = 300  # steps after which the table of product vectors is made anew
MINED_FROM = 50  # nearest products, from which hard negatives are drawn
FLAT_BELOW = 10_000  # products; more are mined from an inverted file, which finds most of them
CELLS, EFFORT = 256, 8
UNTRAINED_ALIKE = 0.95  # cosine before training; a mined product so near to a right one is no wrong


class TowerTrainingSettings(NamedTuple):
    """How the towers learn."""

    epochs: int = 3
    batch_size: int = 256  # requests, over all processes
    learning_rate: float = 1e-3
    temperature: float = 0.05
    loss: str = "softmax"
    dims: tuple[int, ...] = (256, 128, 64)  # the vectors can be cut to these
    hard_negatives: int = 1  # mined a request
    precision: Precision = "auto"  # of products of matrices; auto: bfloat16 where that is native
    drop_own: float = 0.2  # chance that a product's own embedding is not seen
    patience: int = 2  # epochs without a gain
    max_seconds: float = 0.0  # 0: no end
    seed: int = 0


class PastRequests(NamedTuple):
    """Some requests of the past and what came of them."""

    queries: QueryBatch  # rows are products of the catalogue
    drawn: Int64[np.ndarray, "p"]  # right products that become columns, any order, may repeat
    right: Callable[[Int64[np.ndarray, "c"]], Bool[np.ndarray, "b c"]]  # of given products
    ignored: Callable[[Int64[np.ndarray, "c"]], Bool[np.ndarray, "b c"]]  # may be right as well


@runtime_checkable
class Requests(Protocol):
    """Past requests by number."""

    size: int
    shares: Float32[np.ndarray, "n"]  # chance that a drawn right product is this one; sums to 1

    def take(self, numbers: Int64[np.ndarray, "b"], random: np.random.Generator) -> PastRequests:
        """Return these requests; what is random about them comes from `random`."""
        ...


class Epoch(NamedTuple):
    """What one epoch came to."""

    loss: float
    worth: float  # on validation, the higher the better


class TrainedTowers(NamedTuple):
    """The towers of the best epoch, the vectors of all products, and how it went."""

    towers: Towers
    vectors: Float32[np.ndarray, "n d"]
    epochs: tuple[Epoch, ...]
    best: int  # number of the epoch that was kept, from 1
    seconds: float


class TowerInputs(NamedTuple):
    """Products of a batch: the first `shared` are wrong for all, the others for one request."""

    rows: Int64[np.ndarray, "c"]
    log_counts: Float32[np.ndarray, "c"]
    own: Bool[np.ndarray, "b c"] | None  # mined columns: whose they are


def train(
    towers: Towers,
    columns: ProductColumns,
    requests: Requests,
    measure: Callable[[Towers, Float32[np.ndarray, "n d"]], float],
    settings: TowerTrainingSettings,
    tell: Callable[[Iterator[int], int], Iterator[int]] = lambda steps, count: steps,
) -> TrainedTowers:
    """Fit the towers and return the epoch that `measure` finds best, among those trained.

    Runs in as many processes as accelerate was launched with: each has its share of the requests
    and of the columns, all columns are exchanged, so that the loss is that of one process.
    """
    accelerator = Accelerator(
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    torch.manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(towers.parameters(), settings.learning_rate, weight_decay=0.01)
    model, optimizer = accelerator.prepare(towers, optimizer)
    stepper = _Stepper(towers, model, accelerator, columns, requests, settings)
    start, step, total = monotonic(), 0, settings.epochs * stepper.steps_an_epoch
    kept, epochs = _copy(towers), [Epoch(0.0, -np.inf)]
    losses: list[float] = []
    for step in tell(iter(range(total)), total):
        progress = _progress(step / total, monotonic() - start, settings.max_seconds)
        _set_rate(optimizer, settings.learning_rate * _schedule(progress))
        loss = stepper.loss(step)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(accelerator.reduce(loss.detach(), "mean")))
        if (step + 1) % stepper.steps_an_epoch == 0 or progress >= 1:
            worth = measure(towers, stepper.refresh())
            if worth > max(epoch.worth for epoch in epochs):
                kept = _copy(towers)
            epochs.append(Epoch(float(np.mean(losses)), worth))
            losses = []
            if progress >= 1 or _stale(epochs, settings.patience):
                break
    towers.load_state_dict(kept)
    best = int(np.argmax([epoch.worth for epoch in epochs]))
    vectors = embed_products(towers.eval(), columns)
    return TrainedTowers(towers, vectors, tuple(epochs[1:]), best, monotonic() - start)


def _progress(of_steps: float, seconds: float, max_seconds: float) -> float:
    """Return the share that is done, by steps or by time, whichever is further.

    Time counts in twentieths, so that a training far from its limit is the same every time.
    """
    by_time = seconds / max_seconds if max_seconds else 0.0
    return max(of_steps, 1.0 if by_time >= 1 else int(20 * by_time) / 20)


def _schedule(progress: float) -> float:
    """Rise to 1, then fall along a cosine to nearly 0."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.01 + 0.99 * (1 + float(np.cos(np.pi * min(progress, 1.0)))) / 2


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _stale(epochs: list[Epoch], patience: int) -> bool:
    worths = [epoch.worth for epoch in epochs]
    return patience > 0 and len(worths) - 1 - int(np.argmax(worths)) >= patience


def _copy(towers: Towers) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in towers.state_dict().items()}


class _Stepper:
    """Makes batches and their loss; holds the table of product vectors between refreshes."""

    def __init__(
        self,
        towers: Towers,
        model: torch.nn.Module,
        accelerator: Accelerator,
        columns: ProductColumns,
        requests: Requests,
        settings: TowerTrainingSettings,
    ) -> None:
        self._towers = towers
        self._model = model
        self._accelerator = accelerator
        self._columns = columns
        self._requests = requests
        self._settings = settings
        self._loss = LOSSES[settings.loss]
        self._kind = accelerator.device.type
        native = torch.tensor(float(in_halves(settings.precision, self._kind)))
        self._in_halves = float(accelerator.reduce(native.to(accelerator.device), "mean")) == 1
        self._dims = [dim for dim in settings.dims if dim <= towers.shape.dim]
        self._known = np.flatnonzero(requests.shares > 0)  # what is ever bought
        self._size = min(settings.batch_size, requests.size)
        self.steps_an_epoch = max(requests.size // self._size, 1)
        self._table = np.zeros((columns.size, towers.shape.dim), np.float32)
        self.refresh()
        self._untrained = self._table.copy()

    def refresh(self) -> Float32[np.ndarray, "n d"]:
        """Make the table of product vectors, and the index that is mined, anew."""
        self._table[self._known] = embed_products(self._towers, self._columns, self._known)
        if self._settings.hard_negatives:
            factory = "Flat" if len(self._known) < FLAT_BELOW else f"IVF{CELLS},Flat"
            self._index = FaissIndex.build(self._table, factory, self._known)
            self._index.effort = EFFORT
        return self._table

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss of one batch, of this process's requests against all columns."""
        if step and step % REFRESH == 0:
            self.refresh()
        processes, place = self._accelerator.num_processes, self._accelerator.process_index
        numbers, random = self._drawn(step)
        whole = [self._requests.take(part, random) for part in np.array_split(numbers, processes)]
        columns = self._shared(np.concatenate([part.drawn for part in whole]))
        luck = np.array_split(random.random((len(numbers), 1 + MINED_FROM)), processes)
        seen = random.random(len(columns.rows)) >= self._settings.drop_own
        asked = whole[place]
        mined = self._mined(asked, luck[place])
        own = np.array_split(columns.rows, processes)[place]
        kept = np.ones(len(own) + len(mined.rows), bool)
        kept[: len(own)] = np.array_split(seen, processes)[place]
        batch = take(self._columns, np.concatenate([own, mined.rows]))
        batch = batch._replace(own=batch.own * torch.from_numpy(kept))
        table = torch.from_numpy(self._table)
        with self._halves():
            vectors, meant, products = self._model(asked.queries, batch, table)
        vectors, products = vectors.float(), products.float()
        shared = _gathered(products[: len(own)], processes)
        products = torch.cat([shared, products[len(own) :]])
        return self._compared(asked, columns, mined, vectors, meant, products)

    def _compared(
        self,
        asked: PastRequests,
        columns: TowerInputs,
        mined: TowerInputs,
        vectors: Float[Tensor, "b m d"],
        meant: Bool[Tensor, "b m"],
        products: Float[Tensor, "c d"],
    ) -> Float[Tensor, ""]:
        rows = np.concatenate([columns.rows, mined.rows])
        right = torch.from_numpy(asked.right(rows))
        ignored = asked.ignored(rows)
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

    def _drawn(self, step: int) -> tuple[Int64[np.ndarray, "b"], np.random.Generator]:
        """Return the requests of a step; all of an epoch are a permutation of them."""
        epoch, place = divmod(step, self.steps_an_epoch)
        order = np.random.default_rng((self._settings.seed, epoch)).permutation(self._requests.size)
        random = np.random.default_rng((self._settings.seed, epoch, place))
        return order[place * self._size : (place + 1) * self._size], random

    def _shared(self, drawn: Int64[np.ndarray, "p"]) -> TowerInputs:
        """Return each drawn product once, and how often a batch is expected to hold it."""
        rows = np.unique(drawn)
        short = -len(rows) % self._accelerator.num_processes
        rows = np.concatenate([rows, np.repeat(rows[-1:], short)])
        missed = len(drawn) * np.log1p(-np.minimum(self._requests.shares[rows], 1 - 1e-6))
        log_counts = np.log(np.maximum(-np.expm1(missed), 1e-9))  # 1 - (1 - share) ** draws
        return TowerInputs(rows, log_counts.astype(np.float32), None)

    @torch.no_grad()
    def _mined(self, asked: PastRequests, luck: Float64[np.ndarray, "b l"]) -> TowerInputs:
        """Return wrong products that stand nearest to each request in the live index.

        Left out is what is right or may be, and what looked like a right product before anything
        was trained (false negatives; Xiong et al., ANCE, ICLR 2021, mine so from their own index).
        Which of the vectors of a request looks, and what is drawn of what it finds, is luck.
        """
        count, requests = self._settings.hard_negatives, len(asked.queries.text)
        nothing = TowerInputs(np.empty(0, np.int64), np.empty(0, np.float32), None)
        if not count:
            return nothing
        with self._halves():
            vectors, meant = self._towers.query(asked.queries, torch.from_numpy(self._table))
        drawn = 1 + (luck[:, 0] * self._towers.query.interests).astype(np.int64)
        slot = torch.where(meant[:, 0], 0, torch.from_numpy(drawn))
        looking = vectors[torch.arange(requests), slot].float().numpy()
        near = np.full((requests, MINED_FROM), -1, np.int64)
        known = np.flatnonzero(looking.any(axis=1))  # a request of which nothing is known is zero
        for place, hits in zip(known, self._index.search(looking[known], MINED_FROM), strict=True):
            near[place, : len(hits.rows)] = hits.rows
        rows = np.unique(near[near >= 0])
        if not len(rows):
            return nothing
        unfit = asked.right(rows) | asked.ignored(rows) | self._alike(asked, rows)
        places = np.searchsorted(rows, near)
        fit = (near >= 0) & ~np.take_along_axis(unfit, places.clip(max=len(rows) - 1), axis=1)
        order = np.argsort(np.where(fit, luck[:, 1:], np.inf), axis=1)[:, :count]
        chosen = np.take_along_axis(fit, order, axis=1)
        own = np.zeros((requests, len(rows)), bool)
        asking = np.nonzero(chosen)[0]
        own[asking, np.take_along_axis(places, order, axis=1)[chosen]] = True
        used = own.any(axis=0)
        alone = np.zeros(int(used.sum()), np.float32)  # a mined product stands for itself only
        return TowerInputs(rows[used], alone, own[:, used])

    def _alike(self, asked: PastRequests, rows: Int64[np.ndarray, "c"]) -> Bool[np.ndarray, "b c"]:
        right_rows = np.unique(asked.drawn)
        near = self._untrained[rows] @ self._untrained[right_rows].T >= UNTRAINED_ALIKE
        reached: np.ndarray = asked.right(right_rows).astype(np.float32) @ near.T
        return reached > 0


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
