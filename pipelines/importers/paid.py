"""What is paid for a product at a moment: its price, or its sale price while the sale lasts."""

from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from pipelines.importers.columns import SaleColumns, StockColumns
from pipelines.importers.events.times import DateOrder, moment_of
from pipelines.importers.tables.json_rows import inner
from pipelines.importers.values.prices import PLAIN_STYLE, Price, PriceStyle, price_of
from pipelines.importers.values.texts import RowError
from pipelines.shop.quality import shown
from pipelines.shop.remarks import Remarks

NO = ("", "0", "0.0", "no", "n", "false", "none", "deny", "f")


class Sale(StrEnum):
    """What becomes of the sale price of a row."""

    COUNTS = "sale prices count"
    OVER = "sales are over"
    LATER = "sales have not begun"
    OFF = "sales are switched off"
    HIGHER = "sale prices are not below the price, and do not count"
    UNREADABLE = "sales have a price or a date that cannot be read, and do not count"


class PaidPrices:
    """Puts the price that is paid at one moment into rows, and counts what it did."""

    def __init__(
        self,
        sale: SaleColumns,
        stock: StockColumns,
        at: datetime,
        style: PriceStyle = PLAIN_STYLE,
        zone: tzinfo = UTC,
    ) -> None:
        """Prepare for rows whose prices are written in a style, and a shop in a zone."""
        self._columns = sale
        self._stock = stock
        self._at = at
        self._style = style
        self._idle = sale == SaleColumns() and stock == StockColumns()
        self._order = DateOrder(
            day_first=None if not sale.order else sale.order == "day first",
            said=bool(sale.order),
            zone=zone,
        )

    def added_to(
        self, raw: dict[str, Any], values: dict[str, Any], line: int, remarks: Remarks
    ) -> dict[str, Any]:
        """Return a product's raw values with the paid price, the regular one and its stock."""
        if self._idle:
            return raw
        raw = raw | {"availability": stock_of(raw.get("availability"), values, self._stock)}
        raw = raw | self._with_surcharge(raw.get("price"), values)
        before = self._before(raw, values)
        paid, verdict = self._sale(raw, values)
        if verdict:
            remarks.add(f"{verdict} on {self._at:%Y-%m-%d}", line, shown(paid))
        if verdict is Sale.COUNTS:
            before, raw = self._read(raw.get("price")) or before, raw | {"price": paid}
        if before:
            attributes = {"regular_price": f"{before.amount:.2f}"}
            raw = raw | {"attributes": raw["attributes"] | attributes}
        return raw

    def _before(self, raw: dict[str, Any], values: dict[str, Any]) -> Price | None:
        """Return what the price was before, if it was higher."""
        before = self._read(_cell(values, self._columns.before))
        price = self._read(raw.get("price"))
        return before if before and price and before.amount > price.amount else None

    def _sale(self, raw: dict[str, Any], values: dict[str, Any]) -> tuple[Any, Sale | None]:
        """Return the sale price and what becomes of it; None where a row has none."""
        columns = self._columns
        regular = self._read(raw.get("price"))
        cell = _cell(values, columns.price)
        paid = self._read(cell)
        if cell not in (None, "") and paid is None:
            return cell, Sale.UNREADABLE
        if paid is None and regular:
            paid = self._reduced(regular, *self._reduction(values))
            cell = paid and f"{paid.amount:.2f} {paid.currency}".strip()
        if paid is None or paid.amount <= 0:
            return None, None
        if _cell(values, columns.flag) not in (None, "") and _says_no(_cell(values, columns.flag)):
            return cell, Sale.OFF if regular else None
        if regular and paid.amount >= regular.amount:
            return cell, Sale.HIGHER if paid.amount > regular.amount else None
        return self._in_time(cell, values, columns)

    def _in_time(self, cell: Any, values: dict[str, Any], columns: SaleColumns) -> tuple[Any, Sale]:
        start, end = _cell(values, columns.start), _cell(values, columns.end)
        if columns.period and (both := _cell(values, columns.period)):
            first, _, last = str(both).partition("/")
            start, end = start or first, end or last
        try:
            begins = self._moment(start)
            ends = self._moment(end)
        except RowError:
            return start or end, Sale.UNREADABLE
        if ends and self._at >= ends + timedelta(days=_is_day(end, ends)):
            return cell, Sale.OVER
        if begins and self._at < begins:
            return cell, Sale.LATER
        return cell, Sale.COUNTS

    def _read(self, value: Any) -> Price | None:
        try:
            return price_of(value, self._style)
        except RowError:
            return None

    def _with_surcharge(self, price: Any, values: dict[str, Any]) -> dict[str, Any]:
        """Return the price of a variant that costs more than its product; {} for all others."""
        more, regular = self._read(_cell(values, self._columns.surcharge)), self._read(price)
        if not more or not more.amount or not regular:
            return {}
        return {"price": f"{regular.amount + more.amount:.2f} {regular.currency}".strip()}

    def _reduction(self, values: dict[str, Any]) -> tuple[Any, Any]:
        """Return the amount and the share by which a price is lower, as they are written."""
        columns = self._columns
        amount, percent = _cell(values, columns.amount), _cell(values, columns.percent)
        if not columns.mode:
            return amount, percent
        is_share = str(_cell(values, columns.mode) or "").strip().lower().startswith(("%", "perc"))
        return (None, percent) if is_share else (amount, None)

    def _reduced(self, regular: Price, amount: Any, percent: Any) -> Price | None:
        """Return a price that is lower by an amount, or else by a share; None without either."""
        less = self._read(amount)
        if less and less.amount:
            return Price(regular.amount - less.amount, regular.currency)
        share = self._read(str(percent or "").rstrip("% ") or None)
        if share and 0 < share.amount < 100:
            return Price(round(regular.amount * (1 - share.amount / 100), 2), regular.currency)
        return None

    def _moment(self, value: Any) -> datetime | None:
        empty = value is None or value != value or str(value).strip("0-: T") == ""
        return None if empty else moment_of(value, self._order)


def stock_of(availability: Any, values: dict[str, Any], columns: StockColumns) -> Any:
    """Return a word for the stock: what the row says, unless its quantity says less.

    A quantity of 0 or below is out of stock, or a backorder where the row allows those.
    """
    cell = _cell(values, columns.quantity)
    quantity = "" if cell is None else str(cell).strip()
    if not quantity or (columns.tracked and _says_no(_cell(values, columns.tracked))):
        return availability
    try:
        left = float(quantity.replace(",", "."))
    except ValueError:
        return availability
    if left > 0:
        return "in stock" if availability in (None, "") else availability
    allowed = columns.backorders and not _says_no(_cell(values, columns.backorders))
    return "backorder" if allowed else "out of stock"


def _cell(values: dict[str, Any], column: str) -> Any:
    return inner(values, column) if column else None


def _says_no(value: Any) -> bool:
    return str("" if value is None else value).strip().lower() in NO


def _is_day(value: Any, moment: datetime) -> bool:
    """Return whether a time is a whole day: without hours, or with midnight for them."""
    return moment.hour == moment.minute == moment.second == 0 and "T" not in str(value)
