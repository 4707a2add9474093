"""The steps, carried out: puts, waits, samples, sequence servers, and the blocks around them."""
