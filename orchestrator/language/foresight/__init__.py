"""What can be said of a program before it runs: findings, the values it may reach, its duration."""
