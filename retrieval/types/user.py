"""Users: the traits that a shopper declares, and the purposes that the shopper allows."""

from retrieval.types.fields import Noun, UserId


class Consent(Noun, frozen=True, kw_only=True):
    """What a shopper allows, purpose by purpose."""

    search: bool = True
    recommend: bool = True
    ads: bool = True
    train: bool = True


class UserProfile(Noun, frozen=True, kw_only=True):
    """Who shops: declared traits such as `age_band: 45-54`, and what they allow."""

    id: UserId
    traits: dict[str, str] = {}
    consent: Consent = Consent()
