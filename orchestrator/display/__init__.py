"""What people see of values and runs, as text: pure functions of what is shown."""
