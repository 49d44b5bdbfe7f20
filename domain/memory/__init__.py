"""What agents remember: facts, pieces of context and solutions, their history and search."""
