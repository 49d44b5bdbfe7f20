"""What the GraphQL API looks like: types, inputs, enums and errors, one file per noun."""
