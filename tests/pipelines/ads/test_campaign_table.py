"""A table of campaigns: money to the micro, all rows or none, each refusal with its line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.ads.ad_log import FOLDER, replay
from pipelines.ads.campaign_table import import_campaigns
from pipelines.ads.intake import AdWriter
from pipelines.cli.importing import import_
from pipelines.errors import ConfigError, ShopError
from pipelines.live.change_log import LiveError
from tests.pipelines.ads.conftest import Till, campaign, showing

HEADER = "id,advertiser,total,start,end,bid,products"
ROW = "c1,Oats,12.50,2026-06-01,2026-07-01T10:00+02:00,0.300001,p1|p2"
MAPPING = "currency_code: EUR\n"


def taken(
    folder: Path, shop: Path, *rows: str, header: str = HEADER, mapping: str = MAPPING
) -> int:
    source, yaml = folder / "campaigns.csv", folder / "mapping.yaml"
    source.write_text("\n".join([header, *rows]) + "\n")
    yaml.write_text(mapping)
    return import_campaigns(source, yaml, shop, folder / "live")


def test_a_row_is_a_campaign_with_its_money_in_micros(tmp_path: Path, shop: Path) -> None:
    count = taken(tmp_path, shop, ROW)

    ads = AdWriter(tmp_path / "live", UTC)
    [one] = ads.ledger.books.campaigns.values()
    ads.close()
    assert count == 1
    assert (one.budget.total_micros, one.bid.micros) == (12_500_000, 300_001)
    assert one.products == ("p1", "p2")
    assert one.end == datetime(2026, 7, 1, 8, tzinfo=UTC)


def test_columns_are_named_by_a_mapping(tmp_path: Path, shop: Path) -> None:
    mapping = (
        "id: nr\nadvertiser: who\ncurrency: cur\ntotal: all\ndaily: day\nstart: from\nend: to\n"
        "bid: max\nkind: type\nproducts: skus\nterms: words\nplacements: pages\n"
        "target_products: beside\ncountries: in\nexclusion_groups: not_with\n"
        "creative_text: claim\ndaily_cap: cap\n"
        "list_separator: ;\ntimezone: Europe/Rome\n"
    )
    header = "nr,who,cur,all,day,from,to,max,type,skus,words,pages,beside,in,not_with,claim,cap"
    row = (
        "c9,Rye,USD,9,3,2026-06-01,2026-06-02,4,CPM,p1;p3,rye bread;toast,search,p2,DE;AT,bread,"
        "Crisp,2"
    )

    taken(tmp_path, shop, row, header=header, mapping=mapping)

    ads = AdWriter(tmp_path / "live", UTC)
    [one] = ads.ledger.books.campaigns.values()
    ads.close()
    assert one.start == datetime(2026, 5, 31, 22, tzinfo=UTC)
    assert (str(one.bid.kind), one.budget.daily_micros, one.daily_cap) == ("cpm", 3_000_000, 2)
    assert one.targeting.terms == ("rye bread", "toast")
    assert (one.targeting.products, one.targeting.countries) == (("p2",), ("DE", "AT"))
    assert one.creatives[0].text == "Crisp"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW.replace("12.50", "-1"), "total"),
        (ROW.replace("12.50", "1e30"), "total"),
        (ROW.replace("12.50", "NaN"), "total"),
        (ROW.replace("12.50", "Infinity"), "total"),
        (ROW.replace("12.50", "12,50".replace(",", "'")), "total"),
        (ROW.replace("0.300001", "0.0000001"), "six decimals"),
        (ROW.replace("0.300001", ""), "bid"),
        (ROW.replace("2026-07-01T10:00+02:00", "2026-05-01"), "end"),
        (ROW.replace("2026-06-01", "June"), "start"),
        (ROW.replace("p1|p2", "p1|p1"), "products"),
        (ROW.replace("p1|p2", "p1|nothing"), "nothing"),
        (ROW.replace("p1|p2", ""), "products"),
        (ROW.replace("c1", "a/b"), "slash"),
    ],
)
def test_a_row_that_is_no_campaign_is_named_and_nothing_is_written(
    tmp_path: Path, shop: Path, row: str, said: str
) -> None:
    with pytest.raises(ShopError) as refused:
        taken(tmp_path, shop, ROW.replace("c1", "c0"), row)

    assert "line 3" in str(refused.value)
    assert said in str(refused.value)
    assert not (tmp_path / "live" / FOLDER).exists()


def test_a_budget_below_what_was_spent_stops_the_whole_table(tmp_path: Path, shop: Path) -> None:
    till = Till(tmp_path / "live")
    till.put(campaign(total=20_000_000))
    till.tell(*(showing(n) for n in range(50)))
    till.ads.close()

    with pytest.raises(ShopError, match=r"line 3: budget.total_micros"):
        taken(tmp_path, shop, ROW.replace("c1", "c0"), ROW)

    kinds = {type(one.record).__name__ for one in replay(tmp_path / "live" / FOLDER)}
    assert len([one for one in replay(tmp_path / "live" / FOLDER)]) == 51
    assert kinds == {"PutCampaign", "CountedAct"}


def test_a_log_that_a_server_writes_is_left_alone(tmp_path: Path, shop: Path) -> None:
    till = Till(tmp_path / "live")

    with pytest.raises(LiveError, match="another process"):
        taken(tmp_path, shop, ROW)
    till.ads.close()


def test_a_mapping_and_a_table_that_do_not_fit_are_refused(tmp_path: Path, shop: Path) -> None:
    with pytest.raises(ShopError, match="lacks the columns budget"):
        taken(tmp_path, shop, ROW, mapping="total: budget\n")
    with pytest.raises(ConfigError, match="colour"):
        taken(tmp_path, shop, ROW, mapping="colour: x\n")
    with pytest.raises(ShopError, match="line 3: 'c1' stands in line 2"):
        taken(tmp_path, shop, ROW, ROW)


def test_the_verb_says_how_many_were_taken(tmp_path: Path, shop: Path) -> None:
    source = tmp_path / "campaigns.csv"
    source.write_text(f"{HEADER},currency\n{ROW},EUR\n")
    yaml = tmp_path / "mapping.yaml"
    yaml.write_text("currency: currency\n")

    answer = CliRunner().invoke(
        import_,
        ["campaigns", str(source), "--mapping", str(yaml), "--live", str(tmp_path / "l"),
         "--shop", str(shop)],
    )  # fmt: skip

    assert answer.output == "campaigns that are taken: 1\n"
