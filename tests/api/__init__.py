"""What clients see at the doors."""
