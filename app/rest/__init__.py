"""REST under `/api/v1`: thin endpoints over the services that GraphQL calls, one file per noun."""
