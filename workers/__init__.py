"""All that knows Dramatiq, and the loops that keep promises: sweeper and renewer."""
