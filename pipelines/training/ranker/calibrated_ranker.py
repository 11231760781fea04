"""A trained ranker with what its validation says: where it helps, and its probabilities."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.training.ranker.calibration import calibrate
from ranking.calibration.calibration import CalibrationChoice
from ranking.network.examples import Example, RankedProducts
from ranking.network.files import save
from ranking.network.training import TrainedRanker
from ranking.network.validation import ValidationNdcg, validation_ndcg


class CalibratedRanker(NamedTuple):
    """A trained ranker, its gain over retrieval, and what turns logits into probabilities."""

    trained: TrainedRanker
    products: RankedProducts
    gains: dict[str, ValidationNdcg]  # by kind of request
    calibrations: dict[str, CalibrationChoice]  # by `head_name`

    def save(self, folder: Path) -> None:
        """Write it as `Ranker.open` reads it; it ranks the kinds of requests that gain by it."""
        kinds = tuple(kind for kind, gain in self.gains.items() if gain.ranked > gain.retrieved)
        fitted = {head: choice.calibration for head, choice in self.calibrations.items()}
        save(self.trained, self.products, kinds, fitted, folder)

    def measurements(self) -> dict[str, Any]:
        """Return what a manifest says about its quality."""
        return {
            "ranker_validation_ndcg_at_20": [round(x, 4) for x in self.trained.ndcg_by_epoch],
            **{
                f"{kind}_ndcg_at_20": f"{gain.retrieved:.4f} retrieved, {gain.ranked:.4f} ranked"
                for kind, gain in self.gains.items()
            },
            **{
                f"{head.replace('/', '_')}_calibration": f"{choice.name}, expected error "
                f"{choice.figures[choice.name].ece_equal_mass:.4f} on the later half"
                for head, choice in self.calibrations.items()
            },
        }


def calibrated(
    trained: TrainedRanker, validation: Sequence[Example], products: RankedProducts
) -> CalibratedRanker:
    """Measure and calibrate a trained ranker on the requests of the newest window."""
    gains = validation_ndcg(trained.model, validation, products, trained.outcome)
    return CalibratedRanker(
        trained, products, gains, calibrate(trained.model, validation, products)
    )
