"""Who may do what: workspaces, principals, API keys and scopes."""
