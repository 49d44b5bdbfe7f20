"""The public JSON of each noun: what REST answers and `/ws/stream` frames carry."""
