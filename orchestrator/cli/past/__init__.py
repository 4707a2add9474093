"""What the commands on past runs do."""
