"""The terms of rl's reward: verifier, judge, reward model, a function of the user's own, an endpoint; their weighted sum."""
