"""Documents as they are written: their text, its places, the forms of steps, what is wrong."""
