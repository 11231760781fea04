import pytest

from pipelines.importers.events.amounts import amount_of, quantity_of
from pipelines.importers.values.texts import RowError


@pytest.mark.parametrize(
    ("value", "pieces"),
    [
        ("6", 6), ("-6", -6), ("1,5", 1.5), ("1.5", 1.5), ("1.000", 1), ("1,000", 1), ("2 pcs", 2),
        ("2 Stk.", 2), ("3x", 3), ("0.25 kg", 0.25), ("1.234,5", 1234.5), ("1,234.5", 1234.5),
        ("1,234,567", 1234567), ("(3)", -3), ("3-", -3), ("\u22122", -2), ("+4", 4), (2.0, 2),
        (3, 3), ("", None), (None, None), (float("nan"), None),
    ],
)  # fmt: skip
def test_quantities_are_read_as_shops_write_them(value: object, pieces: float | None) -> None:
    assert quantity_of(value) == pieces


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("12,00 €", 12), ("$2.00", 2), ("3.00 EUR", 3), ("1,203.50", 1203.5), ("-12.00", -12),
        ("-12,00 €", -12), ("($5.00)", -5), ("5.00-", -5), ("0", 0), (2.5, 2.5), (-1, -1),
        ("", None),
    ],
)  # fmt: skip
def test_amounts_are_read_as_prices_with_a_sign(value: object, amount: float | None) -> None:
    assert amount_of(value) == amount


@pytest.mark.parametrize("value", ["many", "6 or 7", True, [1], float("inf"), 10**400, "1" * 200])
def test_what_is_no_quantity_is_refused(value: object) -> None:
    with pytest.raises(RowError, match="quantity"):
        quantity_of(value)
