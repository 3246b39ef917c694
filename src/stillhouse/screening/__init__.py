"""Responses -> which of them are fit to learn from, whatever their score."""
