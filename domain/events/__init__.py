"""What happened, as rows first, and the hub that tells subscribers."""
