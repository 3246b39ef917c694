"""stillhouse: a reasoning-model factory, from raw questions to a registered model."""
