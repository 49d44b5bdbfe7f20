"""Schema revisions of the database, applied in order."""
