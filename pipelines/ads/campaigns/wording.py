"""Why an ad is shown, in a shopper's words: who pays, and what the campaign is for."""

from pipelines.ads.campaigns.campaign import AdCampaign
from pipelines.ads.campaigns.eligibility import Occasion
from pipelines.ads.campaigns.target_words import words_of_term

MOST_TERMS = 3


def why_shown(campaign: AdCampaign, occasion: Occasion) -> tuple[str, ...]:
    """Return who pays, and the parameters that made the campaign one for this request."""
    targeting = campaign.targeting
    terms = [one for one in targeting.terms if words_of_term(one) <= occasion.words][:MOST_TERMS]
    about = {
        "you searched for " + ", ".join(f"“{term}”" for term in terms): bool(terms),
        "of the kind of products on this page": bool(targeting.categories),
        "of the product on this page": bool(targeting.products),
        "of the page, the device or the country that you are on": bool(
            targeting.placements or targeting.devices or targeting.channels or targeting.countries
        ),
    }
    named = [words for words, applies in about.items() if applies]
    if named:
        because = "It was chosen because " + " and because ".join(named) + "."
    else:
        because = "It was chosen because it fits what this page shows."
    return f"{campaign.advertiser} pays for this place.", because
