import io
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image, ImageDraw

from pipelines.config import ClipConfig, ConfigError
from pipelines.errors import TrainingError, UserError
from pipelines.progress import silent
from pipelines.shop import ShopWriter
from pipelines.train_clip import (
    REPORT,
    ClipReport,
    already_trained,
    contrastive_loss,
    hits_at_k,
    learning_rate_at,
    train_clip,
)
from retrieval.clip import DESCRIPTION
from retrieval.image_encoder import open_image_encoder

COLOURS = ("red", "green", "blue", "black", "orange", "purple")
SHAPES = ("circle", "square", "bar", "ring")
QUICK = ClipConfig(epochs=1, batch_size=32, held_out=0.1)


def drawn(colour: str, shape: str, size: int) -> bytes:
    image = Image.new("RGB", (64, 64), "white")
    pen, low, high = ImageDraw.Draw(image), 32 - size, 32 + size
    if shape == "circle":
        pen.ellipse((low, low, high, high), colour)
    elif shape == "ring":
        pen.ellipse((low, low, high, high), None, colour, width=5)
    else:
        half = size if shape == "square" else 6
        pen.rectangle((low, 32 - half, high, 32 + half), colour)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def a_shop(folder: Path, sizes: range, broken: int = 0) -> Path:
    """Every colour and shape in these sizes, each picture with a text of its own."""
    shelf = [
        (f"{colour} {shape} {size}", drawn(colour, shape, size))
        for colour in COLOURS
        for shape in SHAPES
        for size in sizes
    ]
    shelf += [(f"broken {i}", b"broken %d" % i) for i in range(broken)]
    ids = [f"p{i}" for i in range(len(shelf))]
    with ShopWriter(folder, name="shapes", source="table", pictures="drawn") as shop:
        shop.add_products(pa.table({"id": ids, "title": [text for text, _ in shelf]}))
        pictures = pa.array([picture for _, picture in shelf], pa.binary())
        kinds = ["image/png"] * len(ids)
        shop.add_pictures(pa.table({"id": ids, "image": pictures, "media_type": kinds}))
    return folder


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_shop(tmp_path_factory.mktemp("shops") / "small", range(12, 16), broken=2)


@pytest.fixture(scope="module")
def trained(small_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClipReport]:
    out = tmp_path_factory.mktemp("models") / "clip"
    return out, train_clip(small_shop, out, QUICK, silent)


def test_it_learns_to_find_pictures_that_it_has_not_seen(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", range(10, 20))
    settings = ClipConfig(epochs=10, batch_size=32, held_out=0.2)

    report = train_clip(shop, tmp_path / "clip", settings, silent)
    encoder = open_image_encoder(str(tmp_path / "clip"))
    pictures, _ = encoder.encode_images([drawn("red", "ring", 9), drawn("blue", "square", 29)])
    texts = encoder.encode_texts(["red ring", "blue square"])

    assert report.recall_at_10 is not None
    assert report.chance is not None
    assert report.recall_at_10 > 4 * report.chance
    assert (texts @ pictures.T).argmax(axis=1).tolist() == [0, 1]


def test_the_report_counts_what_was_used(trained: tuple[Path, ClipReport]) -> None:
    _, report = trained

    assert report.held_out == 10  # a tenth of 96 pictures
    assert report.pairs == 86
    assert report.unreadable == 2
    assert report.steps == 2
    assert report.chance == 1.0
    assert "86 pairs, 2 steps (1.0 epochs)" in report.line()


def test_the_same_seed_gives_the_same_model(
    small_shop: Path, trained: tuple[Path, ClipReport], tmp_path: Path
) -> None:
    train_clip(small_shop, tmp_path / "again", QUICK, silent)
    train_clip(small_shop, tmp_path / "other", QUICK, silent, seed=1)
    first, again, other = (
        open_image_encoder(str(path)).fingerprint
        for path in (trained[0], tmp_path / "again", tmp_path / "other")
    )

    assert first == again
    assert first != other


def test_it_knows_what_it_was_trained_on(
    small_shop: Path, trained: tuple[Path, ClipReport], tmp_path: Path
) -> None:
    out, report = trained

    assert msgspec.json.decode((out / REPORT).read_bytes(), type=ClipReport) == report
    assert already_trained(small_shop, out, QUICK)
    assert not already_trained(small_shop, out, QUICK, seed=1)
    assert not already_trained(small_shop, out, ClipConfig())
    assert not already_trained(small_shop, tmp_path, QUICK)


def test_at_most_max_pairs_are_learnt_from(small_shop: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(QUICK, max_pairs=70, held_out=0.0)

    report = train_clip(small_shop, tmp_path / "clip", settings, silent)

    assert report.pairs + report.unreadable == 70
    assert report.left_out == 28
    assert report.recall_at_10 is None
    assert "nothing was held out" in report.line()
    assert already_trained(small_shop, tmp_path / "clip", settings)


def test_the_time_is_kept(small_shop: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(QUICK, epochs=100_000, max_seconds=1)

    report = train_clip(small_shop, tmp_path / "clip", settings, silent)

    assert 1 <= report.steps < 1_000
    assert report.seconds < 30


def test_an_old_model_is_replaced_whole(
    small_shop: Path, trained: tuple[Path, ClipReport], tmp_path: Path
) -> None:
    out = tmp_path / "clip"
    trained[0].rename(out)
    (out / "left over").touch()

    train_clip(small_shop, out, QUICK, silent, seed=2)
    left = sorted(path.name for path in tmp_path.iterdir())
    out.rename(trained[0])

    assert left == ["clip"]
    assert not (trained[0] / "left over").exists()


def test_a_folder_of_something_else_is_left_as_it_is(small_shop: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(UserError, match=f"no image encoder \\(no {DESCRIPTION}\\)"):
        train_clip(small_shop, tmp_path, QUICK, silent)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_training_that_fails_leaves_nothing(small_shop: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(QUICK, epochs=50, learning_rate=1e30)

    with pytest.raises(TrainingError, match=r"the loss is .* lower clip\.learning_rate"):
        train_clip(small_shop, tmp_path / "clip", settings, silent)

    assert list(tmp_path.iterdir()) == []


def test_too_few_pairs_teach_nothing(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", range(12, 14))

    with pytest.raises(TrainingError, match=r"48 distinct pairs.*at least 64"):
        train_clip(shop, tmp_path / "clip", QUICK, silent)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "no-such-model"}, r"clip\.model: .*vetrina-small"),
        ({"fields": ("title", "colour")}, r"clip\.fields: a product has no colour; choose"),
    ],
)
def test_a_wrong_setting_is_named(
    small_shop: Path, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train_clip(
            small_shop, tmp_path / "clip", msgspec.structs.replace(QUICK, **settings), silent
        )


def test_the_loss_is_the_mean_of_both_directions() -> None:
    similarities = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 0.3], [0.2, -0.4, 3.0]])

    loss = contrastive_loss(similarities, torch.eye(3, dtype=torch.bool))

    right = similarities.diagonal()
    by_hand = [(similarities.logsumexp(axis) - right).mean() for axis in (1, 0)]
    torch.testing.assert_close(loss, sum(by_hand) / 2)


def test_the_order_of_the_pairs_changes_no_loss() -> None:
    similarities, order = torch.randn(5, 5), torch.tensor([3, 0, 4, 1, 2])
    belong = torch.eye(5, dtype=torch.bool)
    belong[0, 3] = belong[3, 0] = True

    shuffled = contrastive_loss(similarities[order][:, order], belong[order][:, order])

    torch.testing.assert_close(shuffled, contrastive_loss(similarities, belong))


def test_two_products_with_one_text_do_not_push_each_other_away() -> None:
    same_text = torch.tensor([[8.0, 8.0, 0.0], [8.0, 8.0, 0.0], [0.0, 0.0, 8.0]])
    belong = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])

    shared = contrastive_loss(same_text, belong)
    pushed = contrastive_loss(same_text + 2 * torch.eye(3), belong)

    assert shared < pushed


def test_hits_agree_with_sorting() -> None:
    rng = np.random.default_rng(0)
    texts, pictures = rng.normal(size=(40, 6)), rng.normal(size=(30, 6))
    right = rng.integers(30, size=40)

    hits = hits_at_k(texts.astype(np.float32), pictures.astype(np.float32), right, k=7)

    nearest = np.argsort(-(texts @ pictures.T), axis=1)[:, :7]
    assert hits.tolist() == [bool(right[i] in nearest[i]) for i in range(40)]


def test_a_tie_at_the_end_of_the_page_is_no_hit() -> None:
    same = np.ones((3, 2), np.float32)

    assert not hits_at_k(same[:1], same, np.asarray([0]), k=2).any()
    assert hits_at_k(same[:1], same, np.asarray([0]), k=3).all()


def test_the_learning_rate_rises_once_and_ends_at_zero() -> None:
    rates = [learning_rate_at(progress) for progress in np.linspace(0, 1, 101)]

    top = int(np.argmax(rates))
    assert rates[top] == 1.0
    assert rates[0] > 0
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0)
