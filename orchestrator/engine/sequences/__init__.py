"""What can be run: the sequences of a directory, and those that Python modules mark."""
