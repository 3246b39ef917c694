"""Raw questions -> questions worth answering: interleaving, exact duplicates, contamination."""
