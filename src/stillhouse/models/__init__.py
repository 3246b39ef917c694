"""Models by name and by form: where a reference leads, and how a model reads and ends a conversation."""
