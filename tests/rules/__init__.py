"""Rules about the code itself, checked by the machine."""
