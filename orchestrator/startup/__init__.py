"""What makes a start quick: libca, uvloop, and names that are imported when they are asked for."""
