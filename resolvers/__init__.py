"""What the GraphQL API does: queries, mutations and subscriptions, one file per noun."""
