"""Steps that say what comes next, and what is told: lists, loops, names, other code."""
