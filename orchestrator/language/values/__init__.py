"""Values of sequences and of channels: operators, conversion, comparison, the points of a loop."""
