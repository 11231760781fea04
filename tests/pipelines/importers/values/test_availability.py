"""Availability in the words, flags and numbers of exports."""

import pytest

from pipelines.importers.values.availability import availability_of
from pipelines.importers.values.texts import RowError

IN, OUT, PRE, BACK = "IN_STOCK", "OUT_OF_STOCK", "PREORDER", "BACKORDER"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 12, 0.5, "1", "12", "10+", "> 10", "3 left", "12 Stück", "1 200", "1.0000"], IN),
        ([0, -3, 0.0, "0", "-3", "0.0000", "0 in stock", "0 pcs"], OUT),
        ([True, "true", "TRUE", "yes", "Y", "ja", "oui", "sí", "tak", "evet", "да"], IN),
        ([False, "false", "No", "n", "nein", "non", "nie", "hayır", "нет"], OUT),
        (["instock", "In Stock", "in_stock", "https://schema.org/InStock", "schema:InStock"], IN),
        (["available for order", "LimitedAvailability", "OnlineOnly", "low stock"], IN),
        (["Auf Lager", "sofort lieferbar", "En stock", "Disponible", "Disponibile"], IN),
        (["Op voorraad", "Dostępny", "Stokta var", "På lager", "skladem", "В наличии"], IN),
        (["在庫あり", "有货", "재고있음", "มีสินค้า", "במלאי", "متوفر في المخزون", "còn hàng"], IN),
        (["Lieferbar in 3-5 Tagen", "Lieferzeit: 2 Werktage", "ships in 3 days"], IN),
        (["אזל מהמלאי", "לא במלאי", "สินค้าหมด", "نفدت الكمية", "غير متاح", "hết hàng", "断货"], OUT),
        (["outofstock", "Out of stock", "SoldOut", "Discontinued", "Reserved"], OUT),
        (["nicht auf Lager", "Ausverkauft", "Rupture de stock", "Épuisé", "Agotado"], OUT),
        (["Esaurito", "Uitverkocht", "Brak", "Tükendi", "Vyprodáno", "Slutsåld"], OUT),
        (["Нет в наличии", "在庫なし", "缺货", "품절", "temporarily out of stock"], OUT),
        (["preorder", "Pre-order", "PreSale", "vorbestellbar", "précommande", "予約"], PRE),
        (["backorder", "onbackorder", "Available on backorder", "MadeToOrder"], BACK),
        ([None, "", "  ", "NULL", float("nan")], IN),
    ],
)
def test_availability_is_read_by_what_is_meant(values: list[object], expected: str) -> None:
    assert {str(value): availability_of(value) for value in values} == dict.fromkeys(
        map(str, values), expected
    )


@pytest.mark.parametrize("value", ["coming soon", "perhaps", "see below", "week 12"])
def test_a_word_that_is_not_known_is_named(value: str) -> None:
    with pytest.raises(RowError, match=f"availability '{value}' is unknown") as error:
        availability_of(value)

    assert error.value.kind == "unknown availability"
