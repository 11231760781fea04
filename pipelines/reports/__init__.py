"""Reports on measured runs: findings as data, and pages drawn from them."""
