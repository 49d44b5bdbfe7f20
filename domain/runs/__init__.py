"""One instruction to one agent, carried out step by step and journaled."""
