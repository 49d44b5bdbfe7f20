"""Threads of messages that runs read and add to."""
