"""The web app: thin routes over `store`, `review` and `survey`, server-made pages, no build step, no outside request.

Modules: `settings`, `app` (puts it together), `guard` (who may call a route), `sessions`, `auth` (passwords and
attempts), `accounts` (people), `oidc`, `security` (what holds for every request), `words` (languages), `pages`
(templates), `assets` (static files), `serve` (the process). How to add a page: docs/web.md.
"""
