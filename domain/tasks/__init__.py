"""Tasks: instructions that run on demand, at given times or on a schedule."""
