from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.errors import ShopError
from pipelines.importers.mapping import Mapping, load_mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.shop.reader import Shop

HEADER = "product,kind,start,end,share"
GOOD = "p1,offer,2024-03-04,2024-03-11,0.5"


@pytest.fixture
def mapping(tmp_path: Path) -> Mapping:
    path = tmp_path / "mapping.yaml"
    path.write_text("columns: {id: id, title: title}\nmax_refused_share: 0.5\n")
    return load_mapping(path)


def shop_with(folder: Path, mapping: Mapping, *lines: str) -> Shop:
    (folder / "products.csv").write_text("id,title\np1,Rye bread\n")
    (folder / "promotions.csv").write_text("\n".join(lines) + "\n")
    import_table(
        folder / "products.csv",
        folder / "shop",
        mapping,
        silent,
        promotions=folder / "promotions.csv",
    )
    return Shop(folder / "shop")


def test_a_promotion_is_kept_as_it_was_given(tmp_path: Path, mapping: Mapping) -> None:
    shop = shop_with(tmp_path, mapping, HEADER, GOOD)

    assert shop.promotions().to_pylist() == [
        {
            "product": "p1",
            "kind": "offer",
            "start": datetime(2024, 3, 4),
            "end": datetime(2024, 3, 11),
            "share": 0.5,
            "known_from": None,
        }
    ]


def test_without_a_share_it_is_everywhere(tmp_path: Path, mapping: Mapping) -> None:
    shop = shop_with(
        tmp_path, mapping, "product,kind,start,end", "p1,display,2024-03-04,2024-03-11"
    )

    assert shop.promotions()["share"].to_pylist() == [1.0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("p1,offer,2024-03-11,2024-03-04,1", "not after its start"),
        ("p1,gift,2024-03-04,2024-03-11,1", "kind 'gift' is impossible"),
        ("p1,offer,2024-03-04,2024-03-11,1.5", "share '1.5' is impossible"),
        ("p1,offer,2024-03-04,2024-03-11,nan", "share 'nan' is impossible"),
        ("p1,offer,soon,2024-03-11,1", "is not a moment"),
        (",offer,2024-03-04,2024-03-11,1", "product"),
    ],
)
def test_what_makes_no_sense_is_refused_and_named(
    tmp_path: Path, mapping: Mapping, line: str, said: str
) -> None:
    shop = shop_with(tmp_path, mapping, HEADER, GOOD, line)

    assert shop.promotions().num_rows == 1
    assert said in (tmp_path / "shop/quality.json").read_text()


def test_a_table_of_nonsense_leaves_nothing(tmp_path: Path, mapping: Mapping) -> None:
    with pytest.raises(ShopError, match=r"2 of 3 promotions were refused, at most 50 %|50%"):
        shop_with(tmp_path, mapping, HEADER, GOOD, "p1,gift,,,", "p1,gift,,,")

    assert not (tmp_path / "shop").exists()


def test_missing_columns_are_named(tmp_path: Path, mapping: Mapping) -> None:
    with pytest.raises(ShopError, match="lacks the columns start, end; promotions need product"):
        shop_with(tmp_path, mapping, "product,kind", "p1,offer")


def test_promotions_of_strangers_are_counted(tmp_path: Path, mapping: Mapping) -> None:
    shop = shop_with(tmp_path, mapping, HEADER, GOOD, "p9,Offer,2024-03-04,2024-03-11,1")

    assert shop.promotions()["kind"].to_pylist() == ["offer", "offer"]
    report = (tmp_path / "shop" / "quality.json").read_text()
    assert "1 promotions are of products that the catalogue lacks" in report


def test_since_when_a_promotion_is_known_is_kept(tmp_path: Path, mapping: Mapping) -> None:
    shop = shop_with(
        tmp_path,
        mapping,
        f"{HEADER},known_from",
        f"{GOOD},2024-02-20",
        f"{GOOD},",
        f"{GOOD},some day",
    )

    assert shop.promotions()["known_from"].to_pylist() == [datetime(2024, 2, 20), None]
    assert "known_from" in (tmp_path / "shop/quality.json").read_text()


def test_promotions_of_an_older_import_are_known_from_their_start(
    tmp_path: Path, mapping: Mapping
) -> None:
    shop = shop_with(tmp_path, mapping, HEADER, GOOD)
    path = shop.folder / "promotions.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["known_from"]), path)

    assert shop.promotions()["known_from"].to_pylist() == [None]
