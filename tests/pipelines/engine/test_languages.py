import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from pipelines.building.build import build
from pipelines.config.loading import load
from pipelines.engine.engine import Engine
from pipelines.importers.columns import ProductColumns
from pipelines.importers.mapping import Mapping
from pipelines.importers.table import import_table
from pipelines.progress import silent
from pipelines.release.store import open_release
from pipelines.serving.app import create_app
from retrieval import Query, Slate
from retrieval.encoders.text import open_text_encoder
from tests.pipelines.serving.test_page import CHROMIUM, browser  # noqa: F401

CSV = """编号,名称,品牌,类别,颜色,价格
zh1,红色连衣裙 夏季新款,优衣库,服装 > 连衣裙,红色,199
zh2,蓝色连衣裙 长袖,优衣库,服装 > 连衣裙,蓝色,219
zh3,红色运动鞋 女款,李宁,鞋,红色,329
zh4,罐装绿茶 500毫升,康师傅,饮料,,5
ja1,赤いワンピース 夏,無印良品,服 > ワンピース,赤,4900
ja2,黒い革靴 メンズ,無印良品,靴,黒,12000
ja3,ﾄｯﾌﾟｽ 白,無印良品,服,白,1900
de1,"Rotes Sommerkleid, Größe M",Esprit,Kleidung > Kleider,rot,49
de2,Schwarze Lederschuhe,Lloyd,Schuhe,schwarz,129
de3,"Grüner Tee, 500 ml",Teekanne,Getränke,,3
"""
MEANINGS = (  # tokens of the tiny model that mean the same have one vector
    ("裙", "ワンピース", "##ワンピース", "sommerkleid", "kleid", "kleider"),
    ("红", "赤", "rotes", "rot"),
    ("鞋", "靴", "lederschuhe", "schuhe"),
    ("茶", "tee"),
    ("绿", "緑", "grüner"),
)
WIDTH = 256  # so that tokens drawn at random are nearly orthogonal
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß0123456789"


def mapping() -> Mapping:
    columns = ProductColumns(id="编号", title="名称", brand="品牌", categories="类别", price="价格")
    return Mapping(name="三国商店", columns=columns, attributes={"颜色": "颜色"})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("languages")
    (folder / "products.csv").write_text(CSV, encoding="utf-8")
    import_table(folder / "products.csv", folder / "shop", mapping(), track=silent)
    return folder / "shop"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A multilingual model of one layer: it reads Chinese, Japanese and German."""
    return str(tiny_model(tmp_path_factory.mktemp("multilingual")))


def vocabulary() -> list[str]:
    characters = sorted({c for c in CSV if ord(c) > 0x2E7F})
    pieces = [f"##{c}" for c in [*LETTERS, *characters]]
    meant = [token for tokens in MEANINGS for token in tokens]
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", ".", ">"]
    return list(dict.fromkeys([*marks, *LETTERS, *characters, *pieces, *meant]))


def tiny_model(folder: Path) -> Path:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    tokens = vocabulary()
    words = {token: place for place, token in enumerate(tokens)}
    shape = BertConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    network = BertModel(shape)
    vectors = torch.randn(len(tokens), WIDTH)
    for same in MEANINGS:
        vectors[[words[token] for token in same]] = torch.randn(WIDTH)
    vectors[[words["[CLS]"], words["[SEP]"]]] = 0  # every text has them
    with torch.no_grad():
        network.embeddings.word_embeddings.weight.copy_(vectors)
        network.embeddings.position_embeddings.weight.zero_()
        network.embeddings.token_type_embeddings.weight.zero_()
    tokenizer = BertTokenizerFast(vocab=words, do_lower_case=True, strip_accents=False)
    network.save_pretrained(folder / "network")
    tokenizer.save_pretrained(folder / "network")
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)  # the mean is meant
    SentenceTransformer(str(folder / "network")).save_pretrained(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def engine(shop: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    releases = tmp_path_factory.mktemp("releases")
    settings = [f"encoders.text.model={model}", "retrieval.language=german"]
    build(shop, releases, load(None, settings), None, silent)
    return Engine.open(releases, warm=True)


def asked(engine: Engine, text: str, **more: Any) -> list[str]:
    slate: Slate = engine.answer(Query(text=text, deadline_ms=60_000, **more))
    return [placed.product.id for placed in slate.products]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("红色连衣裙", "zh1"),
        ("连衣裙 蓝色", "zh2"),
        ("运动鞋", "zh3"),
        ("绿茶", "zh4"),
        ("赤いワンピース", "ja1"),
        ("革靴", "ja2"),
        ("トップス", "ja3"),
        ("kleider rot", "de1"),
        ("lederschuhe", "de2"),
    ],
)
def test_a_product_is_found_in_its_own_language(engine: Engine, text: str, first: str) -> None:
    assert asked(engine, text)[0] == first


def test_a_product_is_found_by_its_meaning_in_another_language(engine: Engine) -> None:
    found = asked(engine, "Kleid", k=4)

    assert set(found) == {"zh1", "zh2", "ja1", "de1"}


def test_a_filter_takes_chinese_names_and_values(engine: Engine) -> None:
    found = asked(engine, "连衣裙", filter='brand: ANY("优衣库")')
    red = asked(engine, "新款", filter='attributes.颜色: ANY("红色") AND categories: ANY("服装")')

    assert sorted(found) == ["zh1", "zh2"]
    assert red == ["zh1"]


def test_a_model_with_the_right_vocabulary_knows_nearly_every_token(
    engine: Engine, shop: Path
) -> None:
    quality = engine.about()["quality"]

    assert quality["unknown_tokens"] < 0.05
    assert "unknown_tokens_notice" not in quality


def test_a_build_whose_model_lacks_the_language_says_so_and_names_one_that_has_it(
    shop: Path, tmp_path: Path
) -> None:
    build(shop, tmp_path, load(None, ["encoders.text.runtime=torch"]), None, silent)

    quality = open_release(tmp_path).manifest.quality
    assert quality["unknown_tokens"] > 0.1
    assert (
        "of the tokens of title and categories are unknown to all-MiniLM-L6-v2"
        in (quality["unknown_tokens_notice"])
    )
    assert "paraphrase-multilingual-MiniLM-L12-v2" in quality["unknown_tokens_notice"]


@pytest.mark.parametrize(
    ("texts", "share"),
    [(["red dress", "rye bread"], 0.0), (["優優優"], 1.0), ([], 0.0), (["", "  "], 0.0)],
)
def test_the_share_of_unknown_tokens_is_that_of_the_texts(texts: list[str], share: float) -> None:
    assert open_text_encoder("all-MiniLM-L6-v2").unknown_share(texts) == share


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (.ci/run installs it)")
def test_the_page_shows_what_was_asked_for_in_chinese(
    engine: Engine,
    browser: Browser,  # noqa: F811
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    with serve(create_app(engine, load(None, ["serve.deadline_ms=60000"]))) as address:
        page = browser.new_context(base_url=address).new_page()

        page.goto('/?text=红色连衣裙&filter=brand: ANY("优衣库")')

        expect(page.locator(".card").first).to_contain_text("红色连衣裙 夏季新款")
        expect(page.locator(".card")).to_have_count(2)
        page.context.close()
