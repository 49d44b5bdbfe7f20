"""Real processes and real clients over real sockets."""
