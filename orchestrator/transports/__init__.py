"""Who brings questions in and carries answers out: each knows `orchestrator.api`, and no other."""
