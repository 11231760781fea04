from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import TrainingError, UserError
from pipelines.progress import silent
from pipelines.training.ranker import compression as compress
from pipelines.training.ranker.compression import (
    CompressionReport,
    compress_distil,
    compress_int8,
    compress_prune,
    export_release,
    network_bytes,
    ranker_of,
)
from ranking.bundle import Bundle
from ranking.network.files import open_network
from ranking.ranker import Ranker


def is_sound(report: CompressionReport) -> bool:
    """Whether the figures agree with each other."""
    told = report.after.mean - report.before.mean
    return (
        report.requests >= 10
        and abs(told - report.difference.mean) < 1e-9
        and report.difference.low <= told <= report.difference.high
        and report.ms_before > 0
        and report.ms_after > 0
    )


def test_a_pruned_ranker_is_smaller_opens_and_is_compared(
    releases: Path, shop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pruned"

    report = compress_prune(releases, shop, out, silent, heads=1, hidden=8)

    about, _ = open_network(out)
    assert (about.shape.heads, about.shape.hidden) == (1, 8)
    assert is_sound(report)
    assert report.bytes_after < report.bytes_before
    assert np.isfinite(report.difference.mean)
    assert "nDCG@20 after" in report.table()


def test_a_pruned_ranker_with_everything_is_as_good_as_before(
    releases: Path, shop: Path, tmp_path: Path
) -> None:
    shape = open_network(ranker_of(releases))[0].shape

    report = compress_prune(
        releases, shop, tmp_path / "same", silent, heads=shape.heads, hidden=shape.hidden
    )

    assert report.difference == (0, 0, 0)


def test_a_distilled_ranker_has_the_shape_that_was_asked_for(
    releases: Path, shop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small"

    report = compress_distil(releases, shop, out, silent, dim=8, heads=2, layers=1)

    about, _ = open_network(out)
    assert (about.shape.dim, about.shape.heads, about.shape.layers) == (8, 2, 1)
    assert Ranker.open(out)
    assert is_sound(report)
    assert report.bytes_after < report.bytes_before
    assert report.token_bytes_after < report.token_bytes_before


def test_an_8_bit_bundle_is_compared_with_one_in_full_precision(
    releases: Path, shop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle8"

    report = compress_int8(releases, shop, out, silent)

    assert Bundle.open(out).about.precision == "int8"
    assert is_sound(report)
    assert abs(report.difference.mean) < 0.05
    assert report.bytes_after == network_bytes(out) < report.bytes_before


def test_a_release_is_exported_whole_and_never_over_something_else(
    releases: Path, tmp_path: Path
) -> None:
    out = export_release(releases, tmp_path / "bundle")

    assert Bundle.open(out).about.precision == "fp32"
    with pytest.raises(UserError, match="is there already; name a new folder"):
        export_release(releases, tmp_path / "bundle")


def test_more_heads_than_there_are_is_told_in_one_line(
    releases: Path, shop: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="99 heads are to be kept of"):
        compress_prune(releases, shop, tmp_path / "pruned", silent, heads=99, hidden=1)
    assert not list(tmp_path.iterdir())


def test_too_few_requests_tell_no_difference(
    releases: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress, "LEAST_REQUESTS", 10_000)

    with pytest.raises(TrainingError, match="10000 are needed to tell a difference"):
        compress_prune(releases, shop, tmp_path / "pruned", silent, heads=1, hidden=1)
