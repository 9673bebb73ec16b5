"""The five services of the house; each owns its rows and talks to the others by events and RPC only."""
