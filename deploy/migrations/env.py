"""Alembic's entry: runs the revisions on the connection that deploy/migrate.py hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], target_metadata=None, version_table_schema="public"
)
with context.begin_transaction():
    context.run_migrations()
