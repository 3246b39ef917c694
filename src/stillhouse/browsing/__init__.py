"""Rows of artifacts in a browser: joined, filtered, compared, and marked by hand."""
