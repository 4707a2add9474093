"""Random runs with random controls, faults and clients; all is checked after each of them."""
