import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines.config.loading import with_live
from pipelines.config.sections import Config
from pipelines.events.intake import EventWriter
from pipelines.serving.app import create_app
from retrieval import Slate
from retrieval.types import Ad

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (.ci/run installs it)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh page whose scripts do not fail, and which asks nobody but our server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    context.set_default_timeout(10_000)
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda line: "Security" in line.text and failures.append(line.text))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((address, "blob:", "data:")) or failures.append(request.url)
        ),
    )
    yield page
    context.close()
    assert failures == []


def open_page(page: Page, path: str = "/") -> None:
    page.goto(path)
    answered(page)


def answered(page: Page) -> None:
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def file(content: bytes, name: str = "tomato.png") -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def test_it_opens_with_a_recommendation_and_the_price_of_each_stage(
    page: Page, engine: Any
) -> None:
    open_page(page)

    expect(page.locator(".card")).to_have_count(7)
    expect(page.get_by_role("status")).to_have_text(
        "7 products · someone new · ordered by the ranker"
    )
    expect(page.locator("#stages")).to_contain_text("retrieve 3.5 ms")
    expect(page.locator("#stages")).to_contain_text("in all")
    expect(page.locator("header")).to_contain_text("A supermarket of 2017, 7 products")
    assert not engine.asked[-1].is_search


def test_it_searches_by_words_and_its_address_can_be_shared(page: Page, engine: Any) -> None:
    open_page(page)

    page.get_by_label("What are you looking for?").fill("oat milk")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("“oat milk”")
    assert engine.asked[-1].text == "oat milk"
    assert query_of(page) == {"text": ["oat milk"]}


def test_a_shared_address_asks_the_same_again(page: Page, engine: Any) -> None:
    open_page(page, "/?text=rye&user=1228&at=2017-03-01&filter=price%20%3C%205")

    [asked] = engine.asked
    assert (asked.text, asked.user, asked.filter) == ("rye", "1228", "price < 5")
    assert asked.scene.at.isoformat() == "2017-03-01T10:00:00"
    expect(page.get_by_label("Household")).to_have_value("1228")
    expect(page.locator(".card")).to_have_count(5)


def test_back_returns_to_the_question_before(page: Page, engine: Any) -> None:
    open_page(page, "/?text=rye")
    page.get_by_label("What are you looking for?").fill("milk")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("“milk”")

    page.go_back()

    expect(page.get_by_role("status")).to_contain_text("“rye”")
    expect(page.get_by_label("What are you looking for?")).to_have_value("rye")


def test_household_and_day_are_chosen_and_the_day_begins_where_the_release_ends(
    page: Page, engine: Any
) -> None:
    open_page(page)
    expect(page.get_by_label("Day")).to_have_value("2017-11-15")

    page.get_by_label("Household").fill("906")
    page.get_by_label("Household").blur()
    expect(page.get_by_role("status")).to_contain_text("household 906")
    page.get_by_label("Day").fill("2017-06-30")
    page.get_by_label("Day").blur()
    answered(page)

    assert engine.asked[-1].user == "906"
    assert engine.asked[-1].scene.at.isoformat() == "2017-06-30T10:00:00"
    assert query_of(page) == {"user": ["906"], "at": ["2017-06-30"]}


def test_known_households_are_offered(page: Page) -> None:
    open_page(page)

    offered = page.locator("#shoppers option").evaluate_all("all => all.map(o => o.value)")
    page.get_by_role("link", name="1228").click()

    assert offered == ["1228", "906", "<i>7</i>"]
    expect(page.get_by_role("status")).to_contain_text("household 1228")


def test_a_picture_is_searched_by_shown_and_taken_away(
    page: Page, engine: Any, picture: bytes
) -> None:
    open_page(page)

    page.set_input_files("#picture", file(picture))
    expect(page.get_by_role("status")).to_contain_text("your picture")
    shown = page.get_by_alt_text("The picture that you search by")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") == 64
    assert engine.asked[-1].image == picture

    page.get_by_role("button", name="Remove the picture").click()
    expect(shown).to_be_hidden()
    expect(page.get_by_role("status")).not_to_contain_text("your picture")
    assert engine.asked[-1].image is None


def test_a_picture_may_be_dropped_anywhere(page: Page, engine: Any, picture: bytes) -> None:
    open_page(page)

    page.evaluate(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
            document.body.dispatchEvent(
                new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        list(picture),
    )

    expect(page.locator("#picture-name")).to_have_text("dropped.png")
    expect(page.get_by_role("status")).to_contain_text("your picture")
    assert engine.asked[-1].image == picture


def test_words_from_a_catalogue_stay_words(page: Page) -> None:
    open_page(page)

    hostile = page.get_by_role("heading", name="<script>document.title = 'owned'</script>")
    expect(hostile).to_have_count(1)
    expect(page.locator("#products").get_by_text("<b>Bold</b> · <i>Hostile</i>")).to_have_count(1)
    assert page.title() == "A supermarket of 2017 · Vetrina"
    assert page.locator("#products b, #products i, #products script").count() == 0


def test_each_product_says_why_it_is_here_and_more_by_keyboard(page: Page) -> None:
    open_page(page)
    card = page.locator(".card").first
    expect(card.locator(".why")).to_have_text("you bought it 6 days ago")

    card.get_by_text("Why is it here?").focus()
    page.keyboard.press("Enter")

    for words in ("semantic", "0.71", "repeat", "12.5", "bought_before", "and 1 that are 0"):
        expect(card.get_by_text(words)).to_be_visible()


def test_products_show_picture_price_and_marks(page: Page) -> None:
    open_page(page)
    cards = page.locator(".card")

    expect(cards.nth(0)).to_contain_text("$2.29")
    expect(cards.nth(0)).to_contain_text("drawn")
    expect(cards.nth(1)).to_contain_text("sponsored")
    expect(cards.nth(3)).to_contain_text("out of stock")
    expect(page.get_by_text("The pictures are drawn by a program")).to_be_visible()
    first = cards.first.locator("img")
    assert first.evaluate("async image => (await image.decode(), image.naturalWidth)") == 64


def test_a_product_without_a_picture_shows_its_first_letter(page: Page) -> None:
    open_page(page)

    expect(page.locator(".card").nth(4).locator(".picture")).to_have_text("T5")


def test_an_error_is_shown_in_the_servers_words_and_goes_with_the_mistake(page: Page) -> None:
    open_page(page)

    page.get_by_label("Filter").fill("colour is nice")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("filter: cannot be read at position 8")
    expect(page.get_by_label("Filter")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".card")).to_have_count(0)

    page.get_by_label("Filter").fill('brand: ANY("Private")')
    page.keyboard.press("Enter")
    expect(alert).to_be_hidden()
    expect(page.locator(".card")).to_have_count(3)


def test_a_file_that_is_no_picture_is_refused_in_the_servers_words(page: Page) -> None:
    open_page(page)

    page.set_input_files("#picture", file(b"I am a picture", "words.png"))

    expect(page.get_by_role("alert")).to_contain_text("image: not a JPEG, PNG, WebP")


def test_a_picture_too_large_to_send_is_refused_without_sending_it(
    page: Page, engine: Any, tmp_path: Path
) -> None:
    open_page(page)
    (tmp_path / "large.png").write_bytes(bytes(10_000_001))

    page.set_input_files("#picture", tmp_path / "large.png")

    expect(page.get_by_role("alert")).to_contain_text("at most 10 MB can be sent")
    assert len(engine.asked) == 1


def test_nothing_found_is_said_in_words(page: Page) -> None:
    open_page(page, "/?filter=price%20%3E%2099")

    expect(page.locator("#products")).to_contain_text("Nothing in this shop fits")
    expect(page.get_by_role("status")).to_contain_text("0 products")


def test_every_field_has_a_name_that_can_be_read_aloud(page: Page) -> None:
    open_page(page)

    nameless = page.locator("input, button").evaluate_all(
        "all => all.filter(e => !e.labels?.length && !e.ariaLabel && !e.textContent.trim())"
        ".map(e => e.outerHTML)"
    )
    page.keyboard.press("/")

    assert nameless == []
    expect(page.get_by_label("What are you looking for?")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_by_day_and_by_night(browser: Browser, address: str, scheme: Any) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, base_url=address
    )
    page = context.new_page()

    open_page(page, "/?text=milk")
    page.get_by_text("Why is it here?").first.click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()

    assert wide == 360
    assert (paper == "rgb(23, 21, 19)") == (scheme == "dark")


def test_it_waits_for_a_release_that_is_still_being_read(
    browser: Browser, engine: Any, serve: Any
) -> None:
    app = create_app(None, Config())
    with serve(app) as address:
        page = browser.new_page(base_url=address)

        page.goto("/")
        expect(page.get_by_role("status")).to_have_text("The release is still being read…")
        app.state.admission.engine = engine
        expect(page.locator(".card")).to_have_count(7)

        page.close()


def test_the_page_of_the_interface_lists_each_path_and_noun(page: Page) -> None:
    page.goto("/docs")

    expect(page.get_by_role("heading", name="POST /v1/search")).to_be_visible()
    expect(page.get_by_role("heading", name="GET /readyz")).to_be_visible()
    expect(page.locator("#Query")).to_contain_text("deadline_ms")


def test_what_is_typed_is_completed_below_the_box(page: Page) -> None:
    open_page(page)

    page.get_by_label("What are you looking for?").press_sequentially("oa")

    expect(page.locator("#completions option")).to_have_count(1)
    expect(page.locator("#completions option")).to_have_attribute("value", "Oat milk, barista, 1 l")

    page.get_by_label("What are you looking for?").fill("")
    expect(page.locator("#completions option")).to_have_count(0)


def test_it_says_which_release_answers_and_goes_over_to_the_next_by_itself(
    page: Page, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"number": 1, "of": 2, "holds": ["words", "habits"], "learning": ["<b>pictures</b>"]}
    plain = engine.about()
    first = plain | {"building": {**told, "seconds_left": 230, "dark": [], "failed": ""}}
    monkeypatch.setattr(engine, "about", lambda: first)
    open_page(page)
    expect(page.locator("#building")).to_have_text(
        "Release 1 of 2 answers: words, habits. Still learning: <b>pictures</b>, about 4 min left."
    )

    done = {**told, "number": 2, "holds": ["words", "habits", "pictures"], "learning": []}
    second = plain | {"release": "the-next", "building": done}
    monkeypatch.setattr(engine, "about", lambda: second)

    expect(page.locator("#building")).to_have_text(
        "Release 2 of 2 answers: words, habits, pictures."
    )
    expect(page.locator("#release")).to_contain_text("the-next")


def test_it_says_why_nothing_more_is_learnt(
    page: Page, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    building = {"number": 1, "of": 3, "holds": ["words"], "learning": [], "dark": [2]}
    told = engine.about() | {"building": {**building, "failed": "the disk is <full>"}}
    monkeypatch.setattr(engine, "about", lambda: told)

    open_page(page)

    expect(page.locator("#building")).to_have_text(
        "Release 1 of 3 answers: words. Release 2 is kept dark: it did not pass the gate. "
        "The building has stopped: the disk is <full>"
    )


def test_it_says_nothing_of_a_plan_where_there_is_none(page: Page) -> None:
    open_page(page)

    expect(page.locator("#building")).to_be_hidden()


LIVE = with_live(Config(), "live")


def test_what_is_done_to_a_card_is_an_event_that_the_next_answer_knows(
    browser: Browser, engine: Any, tmp_path: Path, serve: Any
) -> None:
    events = EventWriter(tmp_path, 35)
    with closing(events), serve(create_app(engine, LIVE, events)) as address:
        page = browser.new_page(base_url=address)
        open_page(page)
        asked = len(engine.asked)

        with page.expect_response("**/v1/recommend?after=*"):
            page.get_by_role("button", name="Put in cart").first.click()
        answered(page)

        query = engine.asked[-1]
        assert len(engine.asked) == asked + 1
        [line] = events.profiles.lines([], events.people.names.visitors(query.visitor))
        assert (line.type, line.product) == ("add_to_cart", "p1")
        page.close()


AD = Ad(
    campaign="c1",
    advertiser="<i>Oats</i>",
    why=("<i>Oats</i> pays for this place.", "It was chosen because it fits."),
    token="token1",
)


def test_an_ad_says_who_pays_and_what_becomes_of_it_is_told_with_its_token(
    page: Page, engine: Any
) -> None:
    told: list[str] = []
    page.on("request", lambda request: told.append(request.url.partition("/v1/")[2]))
    answer = engine.answer
    engine.answer = lambda *asked: with_ad(answer(*asked))

    with page.expect_request("**/v1/views/token1"):
        open_page(page)
    page.get_by_text("why this ad?").click()

    card = page.locator(".card").nth(1)
    expect(card).to_contain_text("<i>Oats</i> pays for this place.")
    expect(page.get_by_text("why this ad?")).to_have_count(1)
    assert told.count("impressions/token1") == 1
    assert "clicks/token1" not in told


def with_ad(slate: Slate) -> Slate:
    products = [
        msgspec.structs.replace(one, ad=AD) if one.sponsored else one for one in slate.products
    ]
    return msgspec.structs.replace(slate, products=tuple(products))


def test_a_server_that_takes_no_events_offers_none(page: Page, engine: Any) -> None:
    open_page(page)

    expect(page.locator(".card")).not_to_have_count(0)
    expect(page.locator(".acts")).to_have_count(0)
    assert engine.asked[-1].visitor is None
