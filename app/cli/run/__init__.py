"""`gob run`: one instruction, its answer on the terminal."""
