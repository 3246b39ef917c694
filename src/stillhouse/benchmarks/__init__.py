"""Benchmarks: their questions, how a model is measured on them, and how two measurements compare."""
