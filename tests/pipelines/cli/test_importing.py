"""Where a shop is, as the verbs of an import are told it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.importing import import_
from pipelines.shop.reader import Shop

FEED = (
    '<rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>s1</g:id>'
    "<title>Jug</title><g:price>89 EUR</g:price></item></channel></rss>"
)
TABLE = "id,title\ns1,Jug\n"


def words(verb: str, folder: Path) -> list[str]:
    (folder / "feed.xml").write_text(FEED)
    (folder / "goods.csv").write_text(TABLE)
    (folder / "mapping.yaml").write_text("columns: {id: id, title: title}\n")
    source = folder / ("feed.xml" if verb == "merchant" else "goods.csv")
    mapping = ["--mapping", str(folder / "mapping.yaml")] if verb == "table" else []
    return [verb, str(source), *mapping, "--shop", str(folder / "shop")]


@pytest.mark.parametrize("verb", ["merchant", "table", "auto"])
@pytest.mark.parametrize(("timezone", "country"), [("", ""), ("Europe/Oslo", "NO")])
def test_a_shop_folder_keeps_where_the_shop_is(
    tmp_path: Path, verb: str, timezone: str, country: str
) -> None:
    named = {"--timezone": timezone, "--country": country}
    options = [word for pair in named.items() if pair[1] for word in pair]

    result = CliRunner().invoke(import_, [*words(verb, tmp_path), *options])

    assert result.exit_code == 0, result.output
    meta = Shop(tmp_path / "shop").meta
    assert (meta.timezone, meta.country) == (timezone, country)
