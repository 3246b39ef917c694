"""The model registry: the gate that decides a candidate's rank, and the aliases that follow from it."""
