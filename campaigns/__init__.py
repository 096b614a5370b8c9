"""Campaigns: long searches for faults, each against the real thing, each proven by bugs planted on purpose.

A module here that has a `main` is a campaign; `tools/campaign.py` runs it. See docs/reliability.md.
"""
