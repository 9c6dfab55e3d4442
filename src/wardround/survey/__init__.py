"""The needs survey: doctors say which tasks they want help with, in two stages, and a task list comes of it.

Inspiration: tasks with an example each are rated, and respondents add tasks of their own, which the coordinator
groups. Feedback: the consolidated list, with sample outputs, is kept, dropped or amended. Modules: `design` (what is
asked), `answers` (what comes back, pure), `tables`, `surveys` (making, opening, closing), `links` and `desk` (the
anonymous respondent), `grouping` with `similar`, `samples`, `results` with `cells` and `rule`, `release` (what may
leave), `exchange` (tables out), `reading`, `headings`, `values` and `importing` (tables in), `fields` (forms), `task_list`, `keeping`
(the artifact). All of them work on `wardround.store` and know nothing of the web.
"""
