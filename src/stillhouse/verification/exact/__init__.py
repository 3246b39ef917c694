"""The fast path of math: decides plain answers at once if math-verify would certainly agree, and leaves the rest to it."""
