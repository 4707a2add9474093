"""What can be asked: a module each for what it is about."""
