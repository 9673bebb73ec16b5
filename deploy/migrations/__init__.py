"""The only way a table comes to be: Alembic revisions in plain SQL, and the rights of each role."""
