"""Expressions and templates: compiled once, evaluated where a step needs their value."""
