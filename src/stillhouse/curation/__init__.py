"""Curate raw questions: mix sources, apply rules, remove duplicates and contamination, label."""
