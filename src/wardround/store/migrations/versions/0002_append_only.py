"""The event log can only be added to: the database itself refuses UPDATE, DELETE, REPLACE and TRUNCATE.

Revision 0002, after 0001. This holds off a mistake in any program; who may change the schema can still take the
triggers away. A later migration that rebuilds `event` has to set them again: SQLite drops them with the table.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NO = "the event log can only be added to"

SQLITE = (
    f"CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, '{NO}'); END",
    f"CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, '{NO}'); END",
    # INSERT OR REPLACE takes the old row away without asking the trigger on DELETE.
    "CREATE TRIGGER event_no_replace BEFORE INSERT ON event "
    "WHEN EXISTS (SELECT 1 FROM event WHERE id = NEW.id) "
    f"BEGIN SELECT RAISE(ABORT, '{NO}'); END",
)

POSTGRESQL = (
    "CREATE FUNCTION event_only_added() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{NO}'; END $$",
    "CREATE TRIGGER event_no_change BEFORE UPDATE OR DELETE ON event "
    "FOR EACH ROW EXECUTE FUNCTION event_only_added()",
    "CREATE TRIGGER event_no_truncate BEFORE TRUNCATE ON event "
    "FOR EACH STATEMENT EXECUTE FUNCTION event_only_added()",
    # Also where a superuser has set session_replication_role to replica.
    "ALTER TABLE event ENABLE ALWAYS TRIGGER event_no_change",
    "ALTER TABLE event ENABLE ALWAYS TRIGGER event_no_truncate",
)


def upgrade() -> None:
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)
