"""Makes the ranker of a release smaller, and measures what that costs and what it saves."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64
from msgspec.structs import replace

from index import map_array
from pipelines.config.sections import Config
from pipelines.durable.files import replaced_folder
from pipelines.encoding.release_encoders import open_query_encoder
from pipelines.errors import ReleaseError, TrainingError, UserError
from pipelines.metrics.intervals import Interval, mean_interval
from pipelines.progress import Track
from pipelines.release.layout import RANKER
from pipelines.release.manifest import config_of
from pipelines.release.parts import open_parts, open_ranker
from pipelines.release.store import open_release
from pipelines.shop.purchases.log import read_purchases
from pipelines.shop.reader import Shop
from pipelines.training.ranker.calibrated_ranker import calibrated
from pipelines.training.ranker.examples import from_baskets
from pipelines.training.ranker.setup import past_shop, products_of, training_settings
from ranking.answers import RankerAnswer
from ranking.bundle import Bundle, UnknownBundle
from ranking.compression.distillation import distil
from ranking.compression.export import export
from ranking.compression.pruning import PruneError, importances, prune, strongest
from ranking.compression.quantisation import quantise
from ranking.features.context import Context
from ranking.network.architecture import TOKENS
from ranking.network.examples import Example, RankedProducts
from ranking.network.files import open_network, save_network
from ranking.network.validation import ndcg_of_request
from ranking.ranker import Ranker, UnknownRanker
from retrieval.context_facts import FactVocabulary

LEAST_REQUESTS = 10  # that came to something, for a difference to be told
TIMED = 200  # requests
MOST_WEIGHED = 500  # requests that tell what matters


@runtime_checkable
class Ranks(Protocol):
    """What orders candidates: a ranker or a bundle."""

    def rank(
        self,
        rows: Int64[np.ndarray, "c"],
        features: Float32[np.ndarray, "c f"],
        context: Context,
    ) -> RankerAnswer:
        """Return a logit for each row."""
        ...


class CompressionInput(NamedTuple):
    """A release with requests of its past."""

    folder: Path  # of its ranker
    outcome: str
    config: Config
    products: RankedProducts
    training: list[Example]
    validation: list[Example]


class CompressionReport(NamedTuple):
    """What a smaller ranker costs and saves."""

    requests: int
    before: Interval  # nDCG@20
    after: Interval
    difference: Interval  # after less before, paired
    bytes_before: int  # of the network
    bytes_after: int
    token_bytes_before: int  # of the products
    token_bytes_after: int
    ms_before: float  # median of a rank call
    ms_after: float

    def table(self) -> str:
        """Return it in words, one figure a line."""
        loss = self.difference.mean / self.before.mean if self.before.mean else 0.0
        return "\n".join(
            (
                f"requests             {self.requests:,} of the newest window",
                f"nDCG@20 before       {_with_ends(self.before)}",
                f"nDCG@20 after        {_with_ends(self.after)}",
                f"difference           {_with_ends(self.difference, '+')} ({loss:+.2%})",
                f"bytes of the network {self.bytes_before:,} to {self.bytes_after:,} "
                f"({self.bytes_before / self.bytes_after:.2f}x smaller)",
                f"bytes of the tokens  {self.token_bytes_before:,} to {self.token_bytes_after:,}",
                f"ms a rank call       {self.ms_before:.2f} to {self.ms_after:.2f} "
                f"({self.ms_before / self.ms_after:.2f}x faster)",
            )
        )


def export_release(releases: Path, out: Path, ranker: Path | None = None) -> Path:
    """Write the bundle of the current release's ranker, or of a smaller one, into a new folder."""
    with _new_folder(out) as draft:
        _exported(ranker or ranker_of(releases), draft)
    return out


def compress_int8(releases: Path, shop: Path, out: Path, track: Track) -> CompressionReport:
    """Write a bundle that multiplies in 8 bits, and compare it with one that does not."""
    past = replay(releases, shop, track, windows=0)
    with tempfile.TemporaryDirectory() as place, _new_folder(out) as draft:
        plain = Path(place) / "bundle"
        _exported(past.folder, plain)
        quantise(plain, draft)
        return compare(past, (plain, Bundle.open(plain)), (draft, Bundle.open(draft)))


def compress_prune(
    releases: Path, shop: Path, out: Path, track: Track, *, heads: int, hidden: int
) -> CompressionReport:
    """Write a ranker of the heads and hidden units that matter most, and compare it."""
    past = replay(releases, shop, track, windows=1)
    about, network = open_network(past.folder)
    tokens = map_array(past.folder / TOKENS)
    facts = FactVocabulary(about.facts or ())
    weighed = [
        one._replace(context=one.context._replace(facts=facts.numbers(one.context.facts)))
        for one in past.training[:MOST_WEIGHED] or past.validation[:MOST_WEIGHED]
    ]
    try:
        found = importances(network, tokens, weighed, training_settings(past.config))
        smaller = prune(network, strongest(found, heads, hidden))
    except PruneError as e:
        raise UserError(str(e)) from None
    with _new_folder(out) as draft:
        shutil.copytree(past.folder, draft, dirs_exist_ok=True)
        save_network(about, smaller, draft)
        return _compared(past, draft)


def compress_distil(  # noqa: PLR0913 - the options of a verb
    releases: Path, shop: Path, out: Path, track: Track, *, dim: int, heads: int, layers: int
) -> CompressionReport:
    """Write a ranker of another shape that learnt from the release's, and compare it."""
    past = replay(releases, shop, track)
    if not past.training:
        raise TrainingError(f"{shop} holds no requests before the release to learn from")
    teacher = Ranker.open(past.folder)
    ours = replace(past.config.ranking, dim=dim, heads=heads, layers=layers)
    settings = training_settings(replace(past.config, ranking=ours))
    steps = settings.epochs * -(-len(past.training) // settings.batch_size)

    def tell(numbers: Iterator[int]) -> Iterator[int]:
        return track(numbers, "train the smaller ranker", steps)

    def said(one: Example) -> Float32[np.ndarray, "c"]:
        return teacher.rank(one.rows, one.features, one.context).logits

    trained = distil(
        said,
        past.outcome,
        past.training,
        past.validation,
        past.products,
        settings._replace(patience=settings.epochs),
        tell=tell,
    )
    ranker = calibrated(trained, past.validation, past.products)
    with _new_folder(out) as draft:
        ranker.save(draft)
        return _compared(past, draft)


def replay(
    releases: Path, shop: Path, track: Track, windows: int | None = None
) -> CompressionInput:
    """Ask again what was asked before the release; `windows` of training beside the newest."""
    release = open_release(releases)
    folder, config = ranker_of(releases), config_of(release.manifest)
    if windows is not None:
        config = replace(config, ranking=replace(config.ranking, windows=windows))
    parts = open_parts(release.path)
    encoder = open_query_encoder(release.path, release.manifest.fingerprints, config)
    people = Shop(shop, unset=config.consent)
    past = past_shop(parts, people, config, encoder)
    end = parts.behaviour.until_seconds
    log = read_purchases(people, parts.products, None)
    training, validation = from_baskets(past, log, end, track)
    about, _ = open_network(folder)
    wanted = [one for one in validation if len(one.relevant(about.outcome))]
    if len(wanted) < LEAST_REQUESTS:
        raise TrainingError(
            f"{len(wanted)} requests of the newest window came to something; {LEAST_REQUESTS} are "
            f"needed to tell a difference; is {shop} the shop of this release?"
        )
    return CompressionInput(
        folder,
        about.outcome,
        config,
        products_of(parts),
        [one for one in training if one.wanted(about.outcome).any()],
        wanted,
    )


def ranker_of(releases: Path) -> Path:
    """Return the folder of the current release's ranker; ReleaseError where it has none."""
    release = open_release(releases)
    if open_ranker(release.path) is None:
        raise ReleaseError(
            f"release {release.manifest.name} has no ranker; build one with more events"
        )
    return release.path / RANKER


def compare(
    past: CompressionInput, before: tuple[Path, Ranks], after: tuple[Path, Ranks]
) -> CompressionReport:
    """Rank the same requests with both, turn about, and measure."""
    told = [(ndcgs(one, past), network_bytes(folder)) for folder, one in (before, after)]
    (was, size_before), (is_, size_after) = told
    quality, smaller, difference = mean_interval(np.stack([was, is_, is_ - was], axis=1))
    ms_before, ms_after = timed(before[1], after[1], past.validation[:TIMED])
    return CompressionReport(
        len(was),
        quality,
        smaller,
        difference,
        bytes_before=size_before,
        bytes_after=size_after,
        token_bytes_before=(before[0] / TOKENS).stat().st_size,
        token_bytes_after=(after[0] / TOKENS).stat().st_size,
        ms_before=ms_before,
        ms_after=ms_after,
    )


def ndcgs(one: Ranks, past: CompressionInput) -> Float64[np.ndarray, "q"]:
    """Return the nDCG@20 of each request."""
    return np.array(
        [
            ndcg_of_request(one.rank(e.rows, e.features, e.context).logits, e, past.outcome)
            for e in past.validation
        ]
    )


def timed(before: Ranks, after: Ranks, examples: Sequence[Example]) -> tuple[float, float]:
    """Return the median milliseconds of a rank call of each, asked in turn."""
    passes = [[_ms(one, e) for one in (before, after)] for e in examples]
    first, second = np.median(np.array(passes), axis=0)
    return float(first), float(second)


def network_bytes(folder: Path) -> int:
    """Return the bytes of a ranker's or a bundle's network."""
    return sum(path.stat().st_size for path in folder.glob("ranker.[so]*"))


def _ms(one: Ranks, example: Example) -> float:
    start = perf_counter()
    one.rank(example.rows, example.features, example.context)
    return (perf_counter() - start) * 1e3


def _compared(past: CompressionInput, smaller: Path) -> CompressionReport:
    before, after = Ranker.open(past.folder), Ranker.open(smaller)
    return compare(past, (past.folder, before), (smaller, after))


def _exported(ranker: Path, bundle: Path) -> None:
    try:
        export(ranker, bundle)
    except (UnknownRanker, UnknownBundle, OSError) as e:
        raise UserError(f"{ranker} cannot be exported: {e}") from None


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write into, which becomes `out` at the end; UserError if `out` exists."""
    if out.exists():
        raise UserError(f"{out} is there already; name a new folder")
    with replaced_folder(out) as draft:
        yield draft


def _with_ends(interval: Interval, sign: str = "") -> str:
    mean, low, high = (f"{value:{sign}.4f}" for value in interval)
    return f"{mean} [{low}, {high}]"
