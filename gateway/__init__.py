"""The only door for people: GraphQL over the read models, and everything else by RPC."""
