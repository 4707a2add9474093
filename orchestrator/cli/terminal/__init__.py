"""What every command shares: its errors and exit code, signals, keys, logs."""
