"""Draws small auctions with many ties and conflicts, and large ones like those of a shop."""

from random import Random

from ranking.auction.values import Auction, Organic, PriceRule, Pricing, Rules, Sponsored

EXPOSURES = ((1_000_000, 600_000, 300_000, 100_000), (1_000_000, 500_000, 500_000, 1))
PROBABILITIES = (0.0, 0.1, 0.2, 0.25, 0.5, 1.0)
PRODUCTS = 7
ADVERTISERS = 200


def small(random: Random, price_rule: PriceRule) -> Auction:
    """Draw up to six bidders and five organic products for up to four positions.

    Values are few, so that many tie; half of the auctions have values that do not.
    """
    even = random.random() < 0.5
    positions = random.randint(1, 4)
    return Auction(
        placement="search",
        exposure_ppm=_exposure(random, positions, even=even),
        organic=tuple(
            Organic(product=f"p{product}", value_micros=_organic_value(random, even=even))
            for product in random.sample(range(PRODUCTS), random.randint(0, 5))
        ),
        sponsored=_bidders(random, even=even),
        rules=Rules(
            price_rule=price_rule,
            reserve_cpc_micros=random.choice((0, 0, 2, 5)),
            reserve_cpm_micros=random.choice((0, 1_000, 3_000)),
            relevance_floor=random.choice((0.0, 0.3)),
            ad_load=random.randint(0, 4),
        ),
        shown=tuple(f"p{product}" for product in range(PRODUCTS) if random.random() < 0.05),
        random_number=random.getrandbits(64),
    )


def large(random: Random, price_rule: PriceRule, num_sponsored: int) -> Auction:
    """Draw an auction of a shop: 24 positions, 200 organic products, 4 sponsored at most.

    The candidates are of 200 advertisers, the k-th of which has a share that is as 1/k.
    """
    advertisers = random.choices(
        range(1, ADVERTISERS + 1), [1 / k for k in range(1, ADVERTISERS + 1)], k=num_sponsored
    )
    return Auction(
        placement="search",
        exposure_ppm=tuple(round(1e6 / position**0.7) for position in range(1, 25)),
        organic=tuple(
            Organic(product=f"p{7 * i}", value_micros=round(random.lognormvariate(15, 1)))
            for i in range(200)
        ),
        sponsored=tuple(
            Sponsored(
                campaign=f"c{i}",
                product=f"p{random.randrange(5_000)}",
                advertiser=f"a{advertiser}",
                groups=(f"g{random.randrange(20)}",) if random.random() < 0.3 else (),
                pricing=random.choice(tuple(Pricing)),
                bid_micros=round(random.lognormvariate(12.5, 0.6)),
                probability=min(1.0, random.lognormvariate(-4, 0.7)),
                relevance=random.random(),
            )
            for i, advertiser in enumerate(advertisers)
        ),
        rules=Rules(price_rule=price_rule, reserve_cpc_micros=10_000, ad_load=4),
        random_number=random.getrandbits(64),
    )


def _exposure(random: Random, positions: int, *, even: bool) -> tuple[int, ...]:
    if even:
        return random.choice(EXPOSURES)[:positions]
    lower = sorted((random.randint(1, 1_000_000) for _ in range(positions - 1)), reverse=True)
    return (1_000_000, *lower)


def _organic_value(random: Random, *, even: bool) -> int:
    return random.choice((0, 500, 1_000, 2_000)) if even else random.randint(0, 4_000)


def _bidders(random: Random, *, even: bool) -> tuple[Sponsored, ...]:
    """Draw bidders, of which some share an advertiser, a product or exclusion groups."""
    groups = random.choice((0.0, 0.2, 0.5))
    advertisers = random.choice((3, 6, 20))
    return tuple(
        Sponsored(
            campaign=f"c{i}",
            product=f"p{random.randrange(PRODUCTS)}",
            advertiser=f"a{random.randrange(advertisers)}",
            groups=tuple(f"g{group}" for group in range(3) if random.random() < groups),
            pricing=pricing,
            bid_micros=_bid(random, pricing, even=even),
            probability=random.choice(PROBABILITIES) if even else random.random(),
            relevance=random.choice((0.2, 0.3, 0.9)),
        )
        for i in range(random.randint(0, 6))
        for pricing in (random.choice(tuple(Pricing)),)
    )


def _bid(random: Random, pricing: Pricing, *, even: bool) -> int:
    highest = 10 if pricing is Pricing.CPC else 5_000
    return random.choice((1, 2, 5, 10)) * highest // 10 if even else random.randint(1, highest)
