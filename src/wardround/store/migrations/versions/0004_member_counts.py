"""A member's row tells how many reviews, and how many gold items, this member has handed in.

Revision 0004, after 0003. Both were counted with every item, which on PostgreSQL read all that the reviewer had done
until the table was vacuumed. What is there already is counted once, here.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column, task in (("reviewed", "review"), ("gold_reviewed", "gold")):
        op.add_column(
            "study_member", sa.Column(column, sa.Integer(), nullable=False, server_default="0")
        )
        op.execute(
            f"UPDATE study_member SET {column} = (SELECT count(*) FROM assignment WHERE assignment.user_id = study_member.user_id"
            f" AND assignment.study_id = study_member.study_id AND assignment.state = 'done' AND assignment.task = '{task}')"
        )
