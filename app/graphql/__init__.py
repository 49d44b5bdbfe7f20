"""The GraphQL door: HTTP view, sockets, limits and GraphiQL."""
