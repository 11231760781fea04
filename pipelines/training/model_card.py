"""Writes the model card that lies beside trained weights: what was learnt from what, how well."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from pipelines.metrics.intervals import Interval

CARD = "README.md"


class CardMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric on one held-out split, before the training, if that has a meaning, and after.

    `change` is the paired difference with its interval; `p` is that of the two being the same.
    """

    split: str
    metric: str
    size: int  # how many queries or pictures were measured on
    after: Interval
    before: Interval | None = None
    change: Interval | None = None
    p: float | None = None


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that a card says; the tables are in the order in which they are given."""

    title: str
    summary: str  # one paragraph
    base_model: str  # what the training started from
    trained_on: date
    data: Mapping[str, str]  # what was read: its fingerprint
    splits: Mapping[str, str]  # name of a split: what is in it
    settings: Mapping[str, object]
    measured: tuple[CardMetric, ...] = ()
    notes: tuple[str, ...] = ()  # limits, licences of the data, how to use it


def write_model_card(folder: Path, card: ModelCard) -> Path:
    """Write the card into the folder of the weights, over an older one; return its path."""
    path = folder / CARD
    path.write_text(card_text(card), encoding="utf-8")
    return path


def card_text(card: ModelCard) -> str:
    """Return the card as Markdown."""
    parts = [
        f"# {card.title}",
        card.summary,
        f"Started from `{card.base_model}`, trained on {card.trained_on.isoformat()}.",
        "## Data",
        _table(("read", "fingerprint"), [(name, f"`{mark}`") for name, mark in card.data.items()]),
        _table(("split", "what is in it"), list(card.splits.items())),
        "## Settings",
        _table(("key", "value"), [(f"`{k}`", f"`{v}`") for k, v in card.settings.items()]),
        "## Metrics",
        _metrics(card.measured),
        *(["## Notes", "\n".join(f"- {note}" for note in card.notes)] if card.notes else []),
    ]
    return "\n\n".join(parts) + "\n"


def _metrics(measured: tuple[CardMetric, ...]) -> str:
    if not measured:
        return "Nothing was held out to measure on."
    rows: list[tuple[str, ...]] = [
        (
            one.split,
            one.metric,
            f"{one.size:,}",
            _shown(one.before),
            _shown(one.after),
            _shown(one.change, sign="+"),
            "" if one.p is None else f"{one.p:.4f}",
        )
        for one in measured
    ]
    head = ("split", "metric", "of", "before", "after", "change", "p")
    return f"Means with 95 % intervals.\n\n{_table(head, rows)}"


def _shown(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return ""
    mean, low, high = (f"{end:{sign}.4f}" for end in interval)
    return f"{mean} ({low} to {high})"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
