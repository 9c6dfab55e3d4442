"""Slots that are free, and those that are held, have an index each, of these rows alone.

Revision 0003, after 0002. One index held all of a study's slots by state. PostgreSQL, which takes a state for rare until
it has counted the table, then went through everything that was free, or done, to find what is one reviewer's. The index
by reviewer has the specialty now, so that slots are still counted within an index.
"""

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_assignment_pool", "assignment")
    op.drop_index("ix_assignment_plan", "assignment")
    columns = ["study_id", "planned_for", "state", "shuffle", "specialty"]
    op.create_index("ix_assignment_plan", "assignment", columns)
    for name, state, columns in (
        ("ix_assignment_pool", "free", ["study_id", "shuffle", "specialty"]),
        ("ix_assignment_held", "held", ["study_id", "lease_until"]),
    ):
        where = text(f"state = '{state}'")
        op.create_index(name, "assignment", columns, sqlite_where=where, postgresql_where=where)
