"""The way of a change through the whole house: services as processes, sandboxes over HTTP, a real broker and database."""
