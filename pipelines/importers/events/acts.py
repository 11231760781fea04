"""The names that shops and analytics give to the acts of shoppers, and our type for each."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pipelines.importers.values.texts import RowError, text_of
from pipelines.shop.quality import shown
from retrieval import EventType

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


def _letters(name: str) -> str:
    """Return the letters of a name, small and without accents."""
    if name.isascii():
        return re.sub(r"[^a-z]", "", name.lower())
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ı", "i"))
    return unicodedata.normalize("NFKC", "".join(c for c in plain if c.isalpha()))


TYPES = {_letters(name): kind for kind, names in NAMES.items() for name in names.split()}
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


def type_of(value: Any, types: Mapping[str, EventType] | None = None) -> EventType:
    """Return our type of `purchase`, `detail-page-view`, `Product Added`…

    `types` are names of the shop's own, which count first. An unknown name is an UnknownAct.
    """
    name = text_of(value, "type", at_most=200)
    if types and name in types:
        return types[name]
    word = _letters(name)
    last = _letters(re.split(r"[.:/|>]", name)[-1])  # commerce.purchases, Ecommerce: Add to Cart
    found = (TYPES.get(one) for one in (word, last, *map(word.removeprefix, PREFIXES)))
    kind = next(filter(None, found), None)
    if kind is None:
        raise UnknownAct(name)
    return kind
