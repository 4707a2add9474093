"""The pages of `docs/reference`, each a function that gives its lines."""
