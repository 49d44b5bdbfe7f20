"""Small pure functions that tools are made of, one file per theme."""
