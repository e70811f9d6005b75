"""Rulewave: signed panel events in, deeds out."""
