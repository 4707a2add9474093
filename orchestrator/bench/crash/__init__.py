"""A service that is killed at random moments of random runs, and what is left of it."""
