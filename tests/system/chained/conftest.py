"""Puts this directory on the path of the tests below: their helpers stand here."""
