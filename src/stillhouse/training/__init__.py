"""Models, training examples and the trainers of TRL, put together from a recipe."""
