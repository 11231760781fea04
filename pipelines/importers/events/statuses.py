"""Knows the words that shops have for the status of an order: that it stands, or was undone."""

# Beginnings of what shops call an order that did not come to be, or was taken back.
# `partially_refunded` was bought for the most part.
UNDONE = (
    "cancel", "refund", "return", "void", "annul", "storn", "retour", "chargeback", "charged-back",
    "rückerstatt", "erstattet", "rembours", "reembols", "devuel", "devolu", "rimbors", "geannul",
    "terugbetaal", "anulow", "zwróc", "zrušen", "отмен", "возвра", "iptal", "iade",
)  # fmt: skip
NEVER_DONE = (
    "fail", "declin", "denied", "abgebroch", "abgelehnt", "fehlgeschl", "échou", "fallid",
    "mislukt", "draft", "checkout-draft", "auto-draft", "trash", "abandon", "expired",
)  # fmt: skip
IN_PART = ("partial", "partiel", "teil", "parcial", "parzial", "gedeeltelijk")
# The same of an order that stands, in the shops of Magento, WooCommerce, Shopify, PrestaShop,
# Shopware and others.
STANDING = (
    "complet", "process", "pending", "closed", "open", "holded", "on-hold", "hold", "new", "paid",
    "payment", "unpaid", "authoriz", "authoris", "captured", "accepted", "confirm", "approved",
    "placed", "received", "ready", "ship", "dispatch", "deliver", "fulfil", "unfulfil", "transit",
    "await", "suspected", "fraud", "archived", "done", "finished", "prepar", "backorder", "invoic",
    "bezahlt", "offen", "abgeschlossen", "versendet", "versandt", "geliefert", "bearbeitung",
    "payé", "expédi", "livré", "terminé", "attente", "pagad", "enviad", "entregad", "pendiente",
    "complétée", "pagat", "spedit", "consegnat", "attesa", "betaald", "verzonden", "afgerond",
    "opłacon", "wysłan", "zrealizow", "zaplacen", "odeslán", "vyřízen", "оплач", "доставл",
    "выполн", "отправл", "нов", "ödendi", "kargo", "teslim", "tamamland", "betald", "skickad",
)  # fmt: skip


def words_of(status: str) -> list[str]:
    """Return the words of a status in small letters, without what WordPress writes before it."""
    return status.lower().removeprefix("wc-").replace("_", " ").split()


def is_in_part(words: list[str]) -> bool:
    """Return whether an order was taken back in part alone."""
    return any(word.startswith(IN_PART) for word in words)


def is_undone(words: list[str]) -> bool:
    """Return whether an order was cancelled, refunded or returned as a whole."""
    return not is_in_part(words) and any(word.startswith(UNDONE) for word in words)


def is_never_done(words: list[str]) -> bool:
    """Return whether an order did not come to be, such as one whose payment failed."""
    return not is_in_part(words) and any(word.startswith(NEVER_DONE) for word in words)


def is_known(status: str) -> bool:
    """Return whether a text is a status of an order: `canceled` and `complete`, but not `CA`."""
    return any(word.startswith(IN_PART + UNDONE + NEVER_DONE + STANDING)
               for word in words_of(status))  # fmt: skip
