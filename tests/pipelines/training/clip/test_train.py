import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from torch import Tensor

from pipelines.config.sections import ClipConfig
from pipelines.errors import ConfigError, TrainingError, UserError
from pipelines.progress import Track, silent
from pipelines.shop.reader import Shop
from pipelines.shop.writer import ShopWriter
from pipelines.training.clip.augmentation import varied, without_some
from pipelines.training.clip.loop import ClipTraining, contrastive_loss, fit
from pipelines.training.clip.pairs import PicturePairs, gather_pairs
from pipelines.training.clip.train import REPORT, ClipReport, already_trained, hits_at_k, train_clip
from retrieval.encoders.clip.opening import new_clip_model
from retrieval.encoders.clip.saved import DESCRIPTION, WEIGHTS
from retrieval.encoders.image import open_image_encoder
from retrieval.encoders.text import packaged_folder
from tests.assertions import every

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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns_to_find_pictures_that_it_has_not_seen(tmp_path: Path, precision: Any) -> None:
    shop = a_shop(tmp_path / "shop", range(10, 20))
    settings = ClipConfig(epochs=10, batch_size=32, held_out=0.2, precision=precision)

    report = train_clip(shop, tmp_path / "clip", settings, silent)
    encoder = open_image_encoder(str(tmp_path / "clip"))
    pictures, _ = encoder.encode_images([drawn("red", "ring", 9), drawn("blue", "square", 29)])
    texts = encoder.encode_texts(["red ring", "blue square"])

    assert report.recall_at_10 is not None
    assert report.chance is not None
    assert report.recall_at_10 > 4 * report.chance
    assert (texts @ pictures.T).argmax(axis=1).tolist() == [0, 1]


def test_the_precision_that_is_asked_for_is_the_one_that_is_used(
    small_shop: Path, trained: tuple[Path, ClipReport], tmp_path: Path
) -> None:
    for precision in ("float32", "bfloat16"):
        settings = msgspec.structs.replace(QUICK, precision=precision)
        train_clip(small_shop, tmp_path / precision, settings, silent)
    models = (trained[0], tmp_path / "float32", tmp_path / "bfloat16")

    auto, whole, half = (open_image_encoder(str(model)).fingerprint for model in models)

    assert whole != half
    assert auto in (whole, half)


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


class Killed(BaseException):
    """What stands for a signal."""


def killed_after(steps: int) -> Track:
    def track(
        items: Iterable[object],
        label: str,
        total: int | None = None,
        most_seconds: float | None = None,
    ) -> Iterator[object]:
        for place, item in enumerate(items):
            if label == "train clip" and place == steps:
                raise Killed
            yield item

    return track  # type: ignore[return-value]


def test_a_training_that_was_killed_goes_on_to_the_same_model(
    small_shop: Path, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(QUICK, epochs=4, checkpoint_seconds=0, augment=True)
    whole = train_clip(small_shop, tmp_path / "whole", settings, silent)

    with pytest.raises(Killed):
        train_clip(small_shop, tmp_path / "clip", settings, killed_after(5))  # two of 4 x 2 steps
    kept = sorted(path.name for path in (tmp_path / ".clip.training").iterdir())
    steps: list[int | None] = []
    report = train_clip(small_shop, tmp_path / "clip", settings, counted(steps))

    assert kept == ["training.safetensors"]
    assert steps == [4]  # of 8, two epochs were done
    assert report.steps == whole.steps == 8
    assert report.loss == whole.loss
    assert fingerprint(tmp_path / "clip") == fingerprint(tmp_path / "whole")
    assert not (tmp_path / ".clip.training").exists()


def test_an_unfinished_training_of_something_else_is_not_gone_on_with(
    small_shop: Path, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(QUICK, epochs=3, checkpoint_seconds=0)
    with pytest.raises(Killed):
        train_clip(small_shop, tmp_path / "clip", settings, killed_after(3))
    steps: list[int | None] = []

    train_clip(small_shop, tmp_path / "clip", settings, counted(steps), seed=1)

    assert steps == [6]


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64])
def test_a_damaged_checkpoint_is_begun_anew(
    small_shop: Path, tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / ".clip.training").mkdir()
    (tmp_path / ".clip.training" / "training.safetensors").write_bytes(damage)

    report = train_clip(small_shop, tmp_path / "clip", QUICK, silent)

    assert report.steps == 2


def counted(totals: list[int | None]) -> Track:
    def track(
        items: Iterable[object],
        label: str,
        total: int | None = None,
        most_seconds: float | None = None,
    ) -> Iterator[object]:
        if label == "train clip":
            totals.append(total)
        yield from items

    return track  # type: ignore[return-value]


def fingerprint(folder: Path) -> str:
    return open_image_encoder(str(folder)).fingerprint


def test_the_best_epoch_is_kept_and_no_gain_ends_the_training(
    small_shop: Path, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(
        QUICK, epochs=50, learning_rate=1e-9, patience=2, held_out=0.2
    )

    report = train_clip(small_shop, tmp_path / "clip", settings, silent)

    assert report.epochs - report.best_epoch == 2
    assert report.epochs < 50


def test_an_epoch_that_is_worse_than_the_best_is_forgotten(tmp_path: Path) -> None:
    clip = new_clip_model("vetrina-small")
    recalls = iter([0.2, 0.9, 0.4, 0.5])
    seen: list[Tensor] = []

    def measure() -> float:
        seen.append(clip.log_scale.detach().clone())
        return next(recalls)

    pairs = PicturePairs(
        torch.zeros(64, 3, 64, 64, dtype=torch.uint8),
        clip.tokens([f"text {i}" for i in range(64)]),
        torch.arange(64),
        torch.arange(64),
    )
    settings = ClipConfig(epochs=4, batch_size=32, patience=0, learning_rate=0.05)
    job = ClipTraining(clip, pairs, torch.arange(64), settings, 0, measure, tmp_path, "key")

    state = fit(job, silent)

    assert (state.best_epoch, state.best_recall) == (2, 0.9)
    assert clip.log_scale == seen[1]
    assert seen[3] != seen[1]


@pytest.mark.parametrize(("side", "locked"), [("lock_text", "token"), ("lock_image", "visual.")])
def test_a_trained_model_is_trained_on_and_a_locked_side_stays(
    small_shop: Path, trained: tuple[Path, ClipReport], tmp_path: Path, side: str, locked: str
) -> None:
    settings = msgspec.structs.replace(QUICK, model=str(trained[0]), **{side: True})

    report = train_clip(small_shop, tmp_path / "clip", settings, silent)
    before, after = (load_file(path / WEIGHTS) for path in (trained[0], tmp_path / "clip"))

    same = {name for name in before if torch.equal(before[name], after[name])}
    whole = {name for name in before if name.startswith(locked) and "visual.head" not in name}
    assert whole <= same
    assert len(same) < len(before)
    assert report.before is not None


def test_two_locked_sides_leave_nothing_to_learn(small_shop: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(QUICK, lock_text=True, lock_image=True)

    with pytest.raises(ConfigError, match="leaves nothing to learn; lock one side"):
        train_clip(small_shop, tmp_path / "clip", settings, silent)


def test_minilm_reads_for_a_new_picture_side(small_shop: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(QUICK, model="vetrina-minilm", lock_text=True)

    train_clip(small_shop, tmp_path / "clip", settings, silent)
    encoder = open_image_encoder(str(tmp_path / "clip"))
    weights = load_file(tmp_path / "clip" / WEIGHTS)
    own = load_file(packaged_folder("all-MiniLM-L6-v2") / "model.safetensors")

    table = "embeddings.word_embeddings.weight"
    assert torch.equal(weights[f"text.transformer.{table}"], own[table])
    assert encoder.encode_texts(["red ring"]).shape == (1, 128)
    assert str(Path.home()) not in (tmp_path / "clip" / DESCRIPTION).read_text()


def test_second_texts_are_read_in_training_only(tmp_path: Path) -> None:
    shop = a_shop(tmp_path / "shop", range(12, 16))
    clip = new_clip_model("vetrina-small")
    settings = msgspec.structs.replace(QUICK, fields=("title",), more_fields=("brand",))

    none = gather_pairs(Shop(shop), clip, settings, seed=0, track=silent)
    branded = gather_pairs(
        Shop(with_brands(tmp_path / "branded")), clip, settings, seed=0, track=silent
    )
    report = train_clip(tmp_path / "branded", tmp_path / "clip", settings, silent)

    assert none.pairs.more is None  # no product has a brand
    assert branded.pairs.more_tokens is not None
    assert len(branded.pairs.more_tokens) == 2
    assert report.steps == 2


def with_brands(folder: Path) -> Path:
    with ShopWriter(folder, name="shapes", source="table", pictures="drawn") as shop:
        ids = [f"p{i}" for i in range(96)]
        titles, brands = [f"ring {i}" for i in range(96)], ["round", "square"] * 48
        shop.add_products(pa.table({"id": ids, "title": titles, "brand": brands}))
        pictures = pa.array([drawn("red", "ring", 5 + i % 25) + bytes(i) for i in range(96)])
        kinds = ["image/png"] * len(ids)
        shop.add_pictures(pa.table({"id": ids, "image": pictures, "media_type": kinds}))
    return folder


def test_a_card_lies_beside_the_weights(trained: tuple[Path, ClipReport]) -> None:
    out, report = trained

    card = (out / "README.md").read_text()

    assert report.shop in card
    assert "text to picture recall@10" in card
    assert f"{report.recall_at_10:.4f} ({report.low:.4f} to {report.high:.4f})" in card
    assert "`clip.learning_rate`" in card or "`learning_rate`" in card


def test_a_varied_picture_keeps_its_range_and_white_stays_white() -> None:
    white = torch.full((3, 3, 16, 16), 255, dtype=torch.uint8)
    noise = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)

    changed = varied(noise)

    assert torch.equal(varied(white), white.float())
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert not torch.equal(changed, noise.float())


def test_dropped_tokens_leave_the_ends_and_the_order() -> None:
    tokens = torch.tensor([[7, 1, 2, 3, 4, 9, 0, 0], [7, 9, 0, 0, 0, 0, 0, 0]])

    drawn = torch.cat([without_some(tokens, 0.5) for _ in range(50)])
    rows = [[token for token in row if token] for row in drawn.tolist()]

    assert every(row[0] == 7 and row[-1] == 9 for row in rows)
    assert every(row[1:-1] == sorted(row[1:-1]) for row in rows)
    assert {len(row) for row in rows} >= {2, 3, 4, 5}
    assert torch.equal(without_some(tokens, 0.0), tokens)
