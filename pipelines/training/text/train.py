"""Fine-tunes a sentence encoder on judged pairs of a query and a title."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from pipelines.config.sections import TextTrainingConfig
from pipelines.durable.files import replaced_folder
from pipelines.errors import ConfigError, UserError
from pipelines.progress import Track
from pipelines.training.checkpoint import (
    checkpoint_folder,
    remove_checkpoint,
    weights_fingerprint,
)
from pipelines.training.model_card import write_model_card
from pipelines.training.text.batches import TextData, prepare
from pipelines.training.text.fitting import TextFit, TextTrainingState
from pipelines.training.text.measuring import blend_scores, blended, copied_weights, tested
from pipelines.training.text.pairs import read_judgments
from pipelines.training.text.reporting import REPORT, TextReport, card_of, set_reports
from retrieval.encoders.text import open_sentence_model
from retrieval.encoders.weights import EncoderError


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
    data = prepare(files, settings, seed)
    untrained, before = copied_weights(model), tested(model, data)
    marks = {file.name: file.fingerprint for file in files}
    key = msgspec.json.encode([weights_fingerprint(model), marks, settings, seed]).decode()
    fit = TextFit(model, data, settings, checkpoint_folder(out), key)
    done, best = fit.run(track)
    scores = blend_scores(model, untrained, best, data, settings)
    blend = max(scores, key=lambda share: (scores[share], -share))
    model.load_state_dict(blended(untrained, best, blend))
    report = TextReport(
        data=marks,
        settings=settings,
        seed=seed,
        blend=blend,
        validation={f"{share:g}": score for share, score in scores.items()},
        test=set_reports(before, tested(model, data)),
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


def _course(data: TextData, done: TextTrainingState) -> dict[str, Any]:
    """Return how long the training was; pairs and queries are those seen, each counted once."""
    seen = data.training[: done.step]
    return {
        "pairs": sum(len(batch.titles) for batch in seen),
        "queries": sum(len(batch.queries) for batch in seen),
        "steps": done.step,
        "seconds": done.seconds,
        "validation_queries": sum(map(len, data.validation)),
    }


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
        write_model_card(draft, card_of(report))
