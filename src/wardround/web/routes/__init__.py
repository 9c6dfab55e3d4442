"""One file per area, each with a `router` made by `guard.router()`; `app.AREAS` lists them."""
