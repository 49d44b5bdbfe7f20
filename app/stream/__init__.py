"""The WebSocket `/ws/stream`: events for scripts and pages, as plain JSON frames."""
