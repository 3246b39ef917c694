"""How responses are asked for: prompts, engines, and the parser of what comes back."""
