"""Where ports meet the outside: one file per technology and role."""
