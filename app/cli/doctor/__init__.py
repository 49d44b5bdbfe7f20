"""`gob doctor`: looks at everything the server needs, and says what to do about the rest."""
