"""Reports on evaluated runs: findings as data, and pages drawn from the findings."""
