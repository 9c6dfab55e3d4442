"""Where people's work is kept while it is under way: one database, SQLite by default, PostgreSQL by URL.

Everything else in Wardround passes through directories; people click, correct themselves and come back tomorrow,
so their work lives in tables until a round is exported as an artifact. Contract: every change goes through
`Store.write`, tells `events.record` who did what with the state before and after, and the event table refuses
changes. A row that several people may edit carries a `version`, which `changed` checks.
"""
