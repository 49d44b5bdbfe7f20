"""Job delivery, scheduling and sweeping."""
