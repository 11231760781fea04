"""What a training of a sentence encoder reports: as data, as lines and as the model's card."""

from datetime import date

import msgspec
import numpy as np

from pipelines.config.sections import TextTrainingConfig
from pipelines.metrics.intervals import Interval, mean_interval, randomisation_test
from pipelines.training.model_card import CardMetric, ModelCard

REPORT = "training.json"
METRIC = "nDCG@10"


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


def set_reports(
    before: dict[str, list[float]], after: dict[str, list[float]]
) -> tuple[SetReport, ...]:
    """Compare nDCG@10 of the same queries of each file, before and after a training."""
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


def card_of(report: TextReport) -> ModelCard:
    """Return the card of the model that a report is about."""
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
