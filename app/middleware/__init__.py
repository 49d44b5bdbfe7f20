"""What every request passes before any door: hosts, origins, traces, timeouts and answers."""
