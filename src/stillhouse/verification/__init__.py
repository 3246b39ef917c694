"""Answers -> verdicts: by a rule in processes that can be killed, or by models that judge many answers at once."""
