"""Ad campaigns: what an advertiser buys, which requests it is for, and what speaks against it."""
