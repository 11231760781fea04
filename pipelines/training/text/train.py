"""Fine-tunes a sentence encoder on judged pairs of a query and a title."""

import random
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Float32
from msgspec.structs import replace
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pipelines.config.sections import TextTrainingConfig
from pipelines.durable.files import replaced_folder
from pipelines.errors import ConfigError, TrainingError, UserError
from pipelines.metrics.intervals import Interval, mean_interval, randomisation_test
from pipelines.progress import Track
from pipelines.training.checkpoint import (
    State,
    Weights,
    checkpoint_folder,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
    weights_fingerprint,
)
from pipelines.training.model_card import CardMetric, ModelCard, write_model_card
from pipelines.training.schedule import LONGEST_GRADIENT, SCHEDULE
from pipelines.training.text.losses import graded_loss
from pipelines.training.text.pairs import (
    Encode,
    Judgments,
    Lists,
    ranked_ndcg,
    read_judgments,
    split,
)
from retrieval.encoders.text import open_sentence_model
from retrieval.encoders.weights import EncoderError
from retrieval.learning_rate import set_learning_rate

REPORT = "training.json"
METRIC = "nDCG@10"
ENCODED_AT_ONCE = 64
UNTRAINED = 0.0  # the blend that is the model as it was


class SetReport(msgspec.Struct, frozen=True, kw_only=True):
    """How well the test queries of one file are ranked, before and after."""

    name: str
    queries: int
    before: Interval
    after: Interval
    change: Interval
    p: float  # of no change; paired randomisation


class TextReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was trained on what, and how well it ranks for queries that it has not seen."""

    data: dict[str, str]  # file: fingerprint
    settings: TextTrainingConfig
    seed: int
    pairs: int
    queries: int
    steps: int
    seconds: float
    validation_queries: int
    validation: dict[str, float]  # blend: nDCG@10; 0 is the model as it was
    blend: float
    test: tuple[SetReport, ...]

    def line(self) -> str:
        """Return the report as a few lines."""
        head = (
            f"{self.pairs:,} pairs of {self.queries:,} queries, {self.steps:,} steps in "
            f"{self.seconds:,.0f} s; blend {self.blend:g} of the trained weights"
        )
        return "\n".join([head, *map(_set_line, self.test)])


class TextTrainingState(State, frozen=True, kw_only=True):
    """How far a training is."""

    score: float  # of the best check so far
    step: int = 0
    seconds: float = 0.0
    worse: int = 0  # checks since the best one
    first: bool = True  # no check yet: the best is the model as it was


class _TextBatch(NamedTuple):
    queries: list[str]
    titles: list[str]
    owner: list[int]  # of each title, its query
    relevance: list[float]


class _Data(NamedTuple):
    training: list[_TextBatch]
    validation: list[Lists]  # one a file
    test: list[tuple[str, Lists]]


def train_text(
    paths: Sequence[Path],
    out: Path,
    settings: TextTrainingConfig,
    track: Track,
    *,
    seed: int = 0,
    threads: int = 2,
) -> TextReport:
    """Train on files of judgments and write the folder `out`, whole or not at all.

    A training that was cut off goes on from its last check when it is asked for again. What is
    written is the blend with the untrained weights that ranks the validation queries best
    (Wortsman et al. 2022, Robust fine-tuning of zero-shot models); the model as it was may win.
    """
    _refuse_to_overwrite(out)
    torch.manual_seed(seed)
    model = _open_model(settings, threads)
    files = [read_judgments(path) for path in paths]
    data = _prepare(files, settings, seed)
    untrained, before = _copy(model), _tested(model, data)
    marks = {file.name: file.fingerprint for file in files}
    key = msgspec.json.encode([weights_fingerprint(model), marks, settings, seed]).decode()
    fit = _Fit(model, data, settings, checkpoint_folder(out), key)
    done, best = fit.run(track)
    scores = _blend_scores(model, untrained, best, data, settings)
    blend = max(scores, key=lambda share: (scores[share], -share))
    model.load_state_dict(_blended(untrained, best, blend))
    report = TextReport(
        data=marks,
        settings=settings,
        seed=seed,
        blend=blend,
        validation={f"{share:g}": score for share, score in scores.items()},
        test=_set_reports(before, _tested(model, data)),
        **_course(data, done),
    )
    _publish(model, report, out)
    remove_checkpoint(fit.folder)
    return report


def _open_model(settings: TextTrainingConfig, threads: int) -> Any:
    try:
        return open_sentence_model(settings.model, max_tokens=settings.max_tokens, threads=threads)
    except EncoderError as e:
        raise ConfigError(f"text_training.model: {e}") from None


class _Fit:
    """One training: the loop, its checks, and what it goes on from."""

    def __init__(
        self, model: Any, data: _Data, settings: TextTrainingConfig, folder: Path, key: str
    ) -> None:
        self.model, self.data, self.settings = model, data, settings
        self.folder, self.key = folder, key
        self.trained = _freeze_vocabulary(model)
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=settings.learning_rate, weight_decay=0.01, fused=True
        )

    def run(self, track: Track) -> tuple[TextTrainingState, Weights]:
        """Train until the epochs or the seconds are over, or no check gains any more.

        Return how far that was, and the weights of the best check.
        """
        restored = load_checkpoint(
            self.folder, TextTrainingState, self.key, self.model, self.optimizer
        )
        state, best = restored or (
            TextTrainingState(key=self.key, score=_score(self.model, self.data)),
            _copy(self.model),
        )
        batches = self.data.training * self.settings.epochs
        due = 1 + int(self._progress(state) * self.settings.checks)
        begun = monotonic() - state.seconds
        for batch in track(iter(batches[state.step :]), "train text", len(batches)):
            if self._progress(state) >= 1 or state.worse >= self.settings.patience:
                break
            torch.manual_seed(state.step)  # so that a training that goes on drops the same units
            self._step(batch, self._progress(state))
            state = replace(state, step=state.step + 1, seconds=monotonic() - begun)
            if self._progress(state) >= due / self.settings.checks:
                due += 1
                state, best = self._checked(state, best)
        return state, best

    def _progress(self, state: TextTrainingState) -> float:
        steps = len(self.data.training) * self.settings.epochs
        limit = self.settings.max_seconds
        return min(1.0, max(state.step / steps, state.seconds / limit if limit else 0.0))

    def _step(self, batch: _TextBatch, progress: float) -> None:
        set_learning_rate(self.optimizer, self.settings.learning_rate * SCHEDULE.at(progress))
        self.model.train()
        loss = graded_loss(
            _embed(self.model, batch.queries),
            _embed(self.model, batch.titles),
            torch.tensor(batch.owner),
            torch.tensor(batch.relevance),
            [min(dim, _full(self.model)) for dim in self.settings.dims],
        )
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {float(loss)}; lower text_training.learning_rate "
                f"({self.settings.learning_rate:g})"
            )
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        clip_grad_norm_(self.trained.values(), LONGEST_GRADIENT)
        self.optimizer.step()

    def _checked(
        self, state: TextTrainingState, best: Weights
    ) -> tuple[TextTrainingState, Weights]:
        """Measure, save, and return the better weights."""
        score = _score(self.model, self.data)
        if score > state.score or state.first:
            best = _copy(self.model)
            state = replace(state, score=score, worse=0, first=False)
        else:
            state = replace(state, worse=state.worse + 1)
        save_checkpoint(self.folder, state, self.model, self.optimizer, best)
        return state, best


def _prepare(files: Sequence[Judgments], settings: TextTrainingConfig, seed: int) -> _Data:
    parts = [split(file.lists, settings.held_out, settings.validation, seed) for file in files]
    learnt = [(query, titles) for part in parts for query, titles in part.training.items()]
    draw = random.Random(seed)
    draw.shuffle(learnt)
    batches = _batches(learnt, settings, draw)
    if not batches or not any(part.validation for part in parts):
        raise TrainingError(
            f"{len(learnt):,} queries to learn from and "
            f"{sum(len(part.validation) for part in parts):,} to validate on are too few; give "
            "more judgments, or a larger text_training.validation"
        )
    share = settings.max_validation_queries / sum(len(part.validation) for part in parts)
    return _Data(
        training=batches,
        validation=[_some(part.validation, share) for part in parts if part.validation],
        test=[(file.name, part.test) for file, part in zip(files, parts, strict=True)],
    )


def _course(data: _Data, done: TextTrainingState) -> dict[str, Any]:
    """Return how long the training was; pairs and queries are those seen, each counted once."""
    seen = data.training[: done.step]
    return {
        "pairs": sum(len(batch.titles) for batch in seen),
        "queries": sum(len(batch.queries) for batch in seen),
        "steps": done.step,
        "seconds": done.seconds,
        "validation_queries": sum(map(len, data.validation)),
    }


def _some(lists: Lists, share: float) -> Lists:
    return dict(list(lists.items())[: max(1, round(share * len(lists)))])


def _batches(
    learnt: Sequence[tuple[str, Mapping[str, float]]],
    settings: TextTrainingConfig,
    draw: random.Random,
) -> list[_TextBatch]:
    """Group whole queries; the titles of one stay together, so that they can be compared."""
    batches, batch, pairs = [], _TextBatch([], [], [], []), 0
    for query, titles in learnt:
        if pairs >= settings.max_pairs:
            break
        chosen = draw.sample(sorted(titles), min(len(titles), settings.titles_per_query))
        batch.owner.extend([len(batch.queries)] * len(chosen))
        batch.queries.append(query)
        batch.titles.extend(chosen)
        batch.relevance.extend(titles[title] for title in chosen)
        pairs += len(chosen)
        if len(batch.titles) >= settings.batch_size:
            batches.append(batch)
            batch = _TextBatch([], [], [], [])
    return [*batches, batch] if batch.titles and not batches else batches


def _freeze_vocabulary(model: Any) -> dict[str, Tensor]:
    """Keep the tables of tokens, which few pairs would tear; return what is trained."""
    trained = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("embeddings" not in name)
        if parameter.requires_grad:
            trained[name] = parameter
    return trained


def _embed(model: Any, texts: list[str]) -> Float32[Tensor, "n d"]:
    """Return vectors that gradients flow through; texts of like length are padded together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    halves = [order[: len(order) // 2], order[len(order) // 2 :]] if len(order) > 32 else [order]
    vectors = [
        model(model.preprocess([texts[i] for i in half]))["sentence_embedding"] for half in halves
    ]
    back = torch.empty(len(order), dtype=torch.int64)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(vectors)[back]


def _encoder(model: Any) -> Encode:
    def encode(texts: list[str]) -> Float32[np.ndarray, "n d"]:
        model.eval()
        vectors: Float32[np.ndarray, "n d"] = model.encode(
            texts, batch_size=ENCODED_AT_ONCE, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    return encode


def _full(model: Any) -> int:
    return int(model.get_embedding_dimension())


def _copy(model: Any) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _tested(model: Any, data: _Data) -> dict[str, list[float]]:
    """Return nDCG@10 of each test query of each file that has such."""
    dim = _full(model)
    return {
        name: ranked_ndcg(_encoder(model), lists, [dim])[dim] for name, lists in data.test if lists
    }


def _score(model: Any, data: _Data) -> float:
    """Return the mean nDCG@10 of all validation queries."""
    dim = _full(model)
    return float(
        np.mean(
            [
                x
                for lists in data.validation
                for x in ranked_ndcg(_encoder(model), lists, [dim])[dim]
            ]
        )
    )


def _blend_scores(
    model: Any, untrained: Weights, best: Weights, data: _Data, settings: TextTrainingConfig
) -> dict[float, float]:
    scores = {}
    for share in (UNTRAINED, *settings.blends):
        model.load_state_dict(_blended(untrained, best, share))
        scores[share] = _score(model, data)
    return scores


def _blended(untrained: Weights, trained: Weights, share: float) -> Weights:
    """Return the weights on the line between the two; whole numbers, such as positions, as is."""
    return {
        name: torch.lerp(old, trained[name], share) if old.is_floating_point() else old
        for name, old in untrained.items()
    }


def _set_reports(
    before: dict[str, list[float]], after: dict[str, list[float]]
) -> tuple[SetReport, ...]:
    return tuple(_set_report(name, before[name], after[name]) for name in before)


def _set_report(name: str, before: list[float], after: list[float]) -> SetReport:
    old, new = np.array(before)[:, None], np.array(after)[:, None]
    return SetReport(
        name=name,
        queries=len(old),
        before=mean_interval(old)[0],
        after=mean_interval(new)[0],
        change=mean_interval(new - old)[0],
        p=float(randomisation_test(new - old)[0]),
    )


def _set_line(one: SetReport) -> str:
    change = one.change
    return (
        f"{one.name}, {one.queries:,} held-out queries: {METRIC} {one.before.mean:.4f} to "
        f"{one.after.mean:.4f}, {change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f}), "
        f"p {one.p:.4f}"
    )


def _refuse_to_overwrite(out: Path) -> None:
    if out.exists() and not (out / REPORT).is_file() and (out.is_file() or any(out.iterdir())):
        raise UserError(
            f"{out} holds something that no training wrote (no {REPORT}); it is left as it is: "
            "choose another folder, or empty it"
        )


def _publish(model: Any, report: TextReport, out: Path) -> None:
    with replaced_folder(out) as draft:
        model.save_pretrained(str(draft), create_model_card=False, safe_serialization=True)
        (draft / REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        write_model_card(draft, _card(report))


def _card(report: TextReport) -> ModelCard:
    settings = report.settings
    return ModelCard(
        title="A text encoder for product search",
        summary=(
            f"Reads a query and a product's title. Trained on {report.pairs:,} judged pairs of "
            f"{report.queries:,} queries for {report.steps:,} steps; {report.blend:g} of the "
            "trained weights, the rest as they were before."
        ),
        base_model=settings.model,
        trained_on=date.today(),
        data=report.data,
        splits={
            "training": f"{report.queries:,} queries",
            "validation": f"{report.validation_queries:,} queries: when to stop, which blend",
            "test": f"{sum(one.queries for one in report.test):,} queries, never looked at before",
        },
        settings={**msgspec.to_builtins(settings), "seed": report.seed},
        measured=tuple(
            CardMetric(
                split=f"test of {one.name}",
                metric=METRIC,
                size=one.queries,
                before=one.before,
                after=one.after,
                change=one.change,
                p=one.p,
            )
            for one in report.test
        ),
        notes=(
            "Open it with `encoders.text.model`, the path of this folder.",
            f"Vectors may be cut to {', '.join(map(str, settings.dims))} numbers.",
        ),
    )
