"""Models wherever they lie, and how they talk.

The grammar that names one, the pin that fixes which one it is, and the cache that holds it; chat templates: how a model reads a
conversation and ends its turn.
"""
