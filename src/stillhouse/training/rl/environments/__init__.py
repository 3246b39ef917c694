"""Rollouts of several turns: what a model talks to, the tools it may call, and which tokens are its own."""
