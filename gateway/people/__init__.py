"""Who comes in and what each may do: users, roles, sessions, keys; nothing here knows GraphQL."""
