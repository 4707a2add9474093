"""The language of sequences, as data: steps, parsing, static checks, expressions."""
