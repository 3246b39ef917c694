"""Rows from and to the formats of others."""
