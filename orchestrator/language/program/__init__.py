"""Programs, which the engine runs: compiled from a document, its arguments, names of channels."""
