"""What a run sees of its channels: which readings count, and what expressions read of them."""
