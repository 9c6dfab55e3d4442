"""Expert review: items are shown blind to several doctors, round after round, until they agree or a panel decides.

Modules: `study` (what a round asks, as plain records), `consensus` (pure: do these scores accept?), `tables`,
`opening` (a study from items), `planning` (who gets what), `desk` (claim, draft, submit, undo), `rounds` (what
follows when a round closes), `panel`, `drafting` (rationales by a model, and again with the reviewers' guidance),
`export`. All of them work on `wardround.store` and know nothing of the web.
"""
