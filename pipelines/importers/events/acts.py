"""The names that shops and analytics give to the acts of shoppers, and our type for each."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from pipelines.importers.values.texts import RowError, text_of
from pipelines.shop.quality import shown
from retrieval import EventType

REMEMBERED = 100_000  # distinct names of acts

# Written without spaces, signs, digits and capitals. Sources:
# Google Analytics 4 https://developers.google.com/analytics/devguides/collection/ga4/ecommerce
# Universal Analytics https://developers.google.com/analytics/devguides/collection/analyticsjs/enhanced-ecommerce
# Google retail https://cloud.google.com/retail/docs/user-events
# Segment https://segment.com/docs/connections/spec/ecommerce/v2/
# Klaviyo https://developers.klaviyo.com/en/docs/guide_to_integrating_a_platform_without_a_pre_built_klaviyo_integration
# Shopify pixels https://shopify.dev/docs/api/web-pixels-api/standard-events
# Meta pixel https://developers.facebook.com/docs/meta-pixel/reference
# Adobe https://experienceleague.adobe.com/docs/analytics/implementation/vars/page-vars/events/event-shopping.html
# Matomo https://developer.matomo.org/guides/tracking-javascript-guide
# Criteo https://help.criteo.com (OneTag events), schema.org actions https://schema.org/Action
# The last lines of each have the words of other languages.
# RetailRocket https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset
# OTTO https://github.com/otto-de/recsys-dataset, Taobao https://tianchi.aliyun.com/dataset/649
NAMES = {
    EventType.IMPRESSION: """
        impression impressions impressionview productimpression productimpressions viewitemlist
        viewlist shown
        productlistviewed itemlistviewed exposure exposures listview collectionviewed display""",
    EventType.SEARCH: """
        search searches searched searchquery searchsubmitted searchaction viewsearchresults
        productssearched searchedsite sitesearch internalsearch tracksitesearch performsearch
        suche gesucht recherche busqueda ricerca pesquisa zoekopdracht wyszukiwanie sokning
        arama поиск
        搜索 検索 검색""",
    EventType.VIEW: """
        view views viewed viewaction productview productviewed viewproduct viewedproduct viewitem
        itemview itemviewed quickview quickviewed productquickview productquickviewed
        viewcontent contentview detail detailview detailpageview productdetail
        productviews productpageview productpageviewed itemdetail detailpage
        productdetailview productdetailviewed productdetailsviewed viewproductdetail prodview
        pageview pageviews pv pdpview ecommerceview setecommerceview browse visit
        ansicht angesehen produktansicht vue vueproduit consultation vista vistadeproducto
        visualizzazione visualizacao bekeken weergave wyswietlenie visning goruntuleme просмотр
        浏览
        閲覧 조회""",
    EventType.CLICK: """
        click clicks clicked productclick productclicked clickproduct clickedproduct itemclick
        clickitem selectitem selectcontent clickthrough
        klick geklickt clic klik klikniecie tiklama клик 点击 クリック 클릭""",
    EventType.ADD_TO_WISHLIST: """
        addtowishlist addedtowishlist wishlist wish productaddedtowishlist wishlistadd
        addtofavorites addtofavourites favorite favourite favorites favourites fav like likes liked
        save saved bookmark wantaction
        merkliste wunschliste favori favoris favorito favoritos preferiti ulubione избранное 收藏
        お気に入り 찜""",
    EventType.ADD_TO_CART: """
        addtocart addtocarts addtobasket addtobag addcart addbasket addproduct add cart carts basket
        productadded productaddedtocart addedtocart itemaddedtocart cartadd scadd
        productlistadds addecommerceitem additemtocart addproducttocart
        warenkorb indenwarenkorb inwarenkorb zumwarenkorbhinzugefugt panier ajoutaupanier
        ajouteraupanier carrito anadiralcarrito agregaralcarrito carrello aggiungialcarrello
        aggiuntaalcarrello carrinho adicionaraocarrinho winkelwagen inwinkelwagen koszyk dokoszyka
        dodajdokoszyka varukorg sepet sepeteekle
        корзина вкорзину 加购 加入购物车 カート カートに入れる 장바구니""",
    EventType.PURCHASE: """
        purchase purchases purchased purchasecomplete completepurchase productpurchased buy buys
        bought buyaction order orders ordered ordercompleted completeorder orderplaced placedorder
        orderedproduct orderaction orderitem transaction transactions tracktransaction
        purchaseitem itempurchased ecommercepurchase ecommerceorder trackecommerceorder
        inapppurchase checkoutcompleted
        checkoutcomplete sale sales sold invoice conversion paid orderpaid paymentcompleted
        kauf gekauft bestellung bestellt achat achete commande compra comprado pedido acquisto
        ordine
        aankoop bestelling zakup zamowienie kop siparis satinalma покупка заказ 购买 下单 購入
        注文 구매
        주문""",
    EventType.REMOVE_FROM_CART: """
        removefromcart removefrombasket removefrombag removedfromcart productremoved
        productremovedfromcart productlistremovals cartremove removecart scremove remove
        removeecommerceitem
        ausdemwarenkorb retirerdupanier quitardelcarrito rimuovidalcarrello zkoszyka изкорзины""",
    EventType.REFUND: """
        refund refunds refunded return returns returned returnaction productreturned orderrefunded
        refundedorder orderreturned cancel cancelled canceled cancellation cancelaction
        ordercancelled ordercanceled cancelledorder canceledorder creditnote creditmemo
        chargeback storno retoure
        storniert rucksendung erstattung retour remboursement devolucion reembolso reso rimborso
        devolucao zwrot retur iade возврат отмена 退款 退货 返品 返金 환불 반품""",
    EventType.RATING: """
        rating ratings rate rated rateaction review reviews reviewed reviewaction productreviewed
        submittedreview stars
        bewertung avis valoracion recensione avaliacao beoordeling ocena degerlendirme отзыв оценка
        评价 レビュー 리뷰""",
}  # fmt: skip

# What analytics count beside shopping. Sources as above, and the automatic events of Google
# Analytics https://support.google.com/analytics/answer/9234069, Shopify's page and form events,
# User Behavior Insights https://github.com/opensearch-project/user-behavior-insights and
# Snowplow https://docs.snowplow.io/docs/events/ootb-data/.
BESIDE = """
    scroll sessionstart firstvisit firstopen userengagement engagement screenview screen identify
    filedownload formstart formsubmit formsubmitted videostart videoprogress videocomplete
    viewcart cartviewed cartview shoppingcartpageview begincheckout checkoutstarted
    checkoutstarts initiatecheckout addpaymentinfo paymentinfosubmitted paymentinfoentered
    addshippinginfo checkoutstepviewed checkoutstepcompleted checkoutstep checkout
    checkoutcontactinfosubmitted checkoutaddressinfosubmitted checkoutshippinginfosubmitted
    viewpromotion selectpromotion promotionviewed promotionclicked promoview promoclick
    login signup signin logout share generatelead joingroup earnvirtualcurrency
    couponentered couponapplied couponremoved coupondenied cartshared productshared
    productlistfiltered orderupdated homepageview categorypageview alertdisplayed
    uiextensionerrored inputfocused inputblurred inputchanged appremove appupdate osupdate
    appinstall applicationinstalled applicationopened applicationbackgrounded exception error
    transactionerror trnserror pageping unstruct linkclick heartbeat timing performance webvitals
    pageleave leave hover producthover typefilter logoclick rageclick newsletter consent
    consentgranted consentdenied consentwithdrawn consentupdate adimpression adclick adreward
    pagename customerregistered appstart appopen foreground background
"""
# A look at a page, which is none of shopping where it names no product.
PAGES = frozenset(("pageview", "pageviews", "pv", "visit", "browse", "pageviewed", "page"))


def _letters(name: str) -> str:
    """Return the letters of a name, small and without accents."""
    if name.isascii():
        return re.sub(r"[^a-z]", "", name.lower())
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ı", "i"))
    return unicodedata.normalize("NFKC", "".join(c for c in plain if c.isalpha()))


TYPES = {_letters(name): kind for kind, names in NAMES.items() for name in names.split()}
IGNORED = frozenset(_letters(name) for name in BESIDE.split())
# Words before a name that say where it was counted.
PREFIXES = (
    "ecommerce",
    "eec",
    "enhancedecommerce",
    "commerce",
    "event",
    "track",
    "user",
    "shop",
    "web",
)


class UnknownAct(RowError):
    """An act whose name is none of ours: the event is left out, which is no mistake of the row."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown type",
            f"type {shown(name)} is unknown; say in the mapping which of ours it is "
            f"(events.types: {{{name[:40]}: view}}): {', '.join(EventType)}",
        )
        self.name = name


class IgnoredAct(RowError):
    """An act that is known and none of shopping, such as a scroll."""

    def __init__(self, name: str) -> None:
        super().__init__("beside shopping", f"type {shown(name)} is none of shopping")
        self.name = name


def is_page(name: Any) -> bool:
    """Return whether a name of an act is that of a look at a page, whatever the page shows."""
    return isinstance(name, str) and _letters(name) in PAGES


class ActNames:
    """Knows our type of `purchase`, `detail-page-view`, `Product Added`…"""

    def __init__(
        self, types: Mapping[str, EventType] | None = None, ignored: Iterable[str] = ()
    ) -> None:
        """Take names of a shop's own, which count first: of our types, and of what is ignored."""
        self._types = types or {}
        self._ignored = frozenset(map(_letters, ignored))
        self._known = lru_cache(REMEMBERED)(self._look_up)

    def type_of(self, value: Any) -> EventType:
        """Return our type of a name; an IgnoredAct where it is none of shopping.

        An unknown name is an UnknownAct.
        """
        name = text_of(value, "type", at_most=200)
        kind = self._known(name)
        if kind is None:
            raise UnknownAct(name)
        if kind is False:
            raise IgnoredAct(name)
        return kind

    def _look_up(self, name: str) -> EventType | Literal[False] | None:
        """Return our type, False for what is ignored, None for what is not known."""
        if name in self._types:
            return self._types[name]
        word = _letters(name)
        if word and word in self._ignored:
            return False
        last = _letters(
            re.split(r"[.:/|>]", name)[-1]
        )  # commerce.purchases, Ecommerce: Add to Cart
        several = (word, last, *map(word.removeprefix, PREFIXES))
        if kind := next(filter(None, map(TYPES.get, several)), None):
            return kind
        return False if not IGNORED.isdisjoint(several) else None
