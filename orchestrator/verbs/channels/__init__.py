"""Steps that have to do with channels: put, wait, sample, lead sequence servers."""
