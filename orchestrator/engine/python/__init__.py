"""Sequences and state machines written in Python, and what can be told of them beforehand."""
