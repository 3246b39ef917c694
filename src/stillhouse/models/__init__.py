"""Models wherever they lie: the grammar that names one, the pin that fixes which one it is, and the cache that holds it."""
