"""Rows from and to the formats of others: JSON Lines, Parquet, and the public schemas of releases."""
