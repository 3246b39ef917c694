"""Plain mathematics decided at once, where math-verify would certainly say the same; all else is left to it."""
