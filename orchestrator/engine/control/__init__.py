"""What is asked of a run, its clock, the scope of a step, and what holds it up."""
