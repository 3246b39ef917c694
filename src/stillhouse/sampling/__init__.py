"""Sampling: what to ask each model, the engines that answer, and how responses reach the disk."""
