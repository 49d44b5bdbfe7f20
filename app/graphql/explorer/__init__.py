"""GraphiQL from files of our own: the page, its assets, and the key it opens with on loopback."""
