"""Rows from and to the formats others use."""
