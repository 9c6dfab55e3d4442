"""Templates compiled for one language: `t("…", "…")` becomes its words there.

Asked for at each of the page's fifty texts, they took a tenth of its time; as constants they are escaped once and melt
into what stands around them. Words that are not written out in the template are still asked for when it is rendered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Template, nodes
from jinja2.visitor import NodeTransformer

from wardround.web.words import Lang


class Templates(FileSystemLoader):
    """The files of `folder`, in `lang`."""

    def __init__(self, folder: Path, lang: Lang) -> None:
        super().__init__(folder)
        self._words = _Words(lang)

    def load(self, environment: Environment, name: str, globals: Any = None) -> Template:  # noqa: A002
        """As any loader's; `TemplateNotFound`, `TemplateSyntaxError`."""
        source, filename, uptodate = self.get_source(environment, name)
        tree = self._words.visit(environment.parse(source, name, filename))
        code = environment.compile(tree.set_environment(environment), name, filename)
        of_code = environment.template_class.from_code
        return of_code(environment, code, environment.make_globals(globals), uptodate)


class _Words(NodeTransformer):
    def __init__(self, lang: Lang) -> None:
        self._which = 0 if lang == "zh" else 1

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        words = [a.value for a in node.args if isinstance(a, nodes.Const)]
        if isinstance(node.node, nodes.Name) and node.node.name == "t" and len(words) == 2:
            return nodes.Const(words[self._which], lineno=node.lineno)
        return node
