"""Creatives: which text and picture of a campaign is shown, by Thompson sampling."""
