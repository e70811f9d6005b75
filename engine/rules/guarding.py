"""Rewrites a parsed template: what it prints, joins, goes through and makes passes filters of our own."""

from __future__ import annotations

from typing import cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

GIVEN = "~"
"""Refuses null."""
PACED = "~paced"
"""Looks at the clock."""
SIZED = "~sized"
"""Stands around whatever a template makes, and changes nothing."""
CHARGED = "~charged"
"""Counts fixed text."""


class Guarding(NodeTransformer):
    """Puts filters of our own around what could turn a null into the text None, or become huge."""

    def __init__(self) -> None:
        self._loops = 0

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  # the library's naming
        """Each round looks at the clock."""
        self._loops += 1
        self.generic_visit(node)
        self._loops -= 1
        node.iter = _through(PACED, cast("nodes.Expr", node.iter))
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802  # the library's naming
        """Fixed text in a loop counts in each round."""
        self.generic_visit(node)
        fixed = sum(len(one.data) for one in node.nodes if isinstance(one, nodes.TemplateData))
        if fixed and self._loops:
            node.nodes.append(_through(CHARGED, nodes.Const(fixed, lineno=node.lineno)))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  # the library's naming
        """`~` refuses null, and its result is sized."""
        self.generic_visit(node)
        node.nodes = [_through(GIVEN, side) for side in node.nodes]
        return _through(SIZED, node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802  # the library's naming
        """A slice is sized: it is a copy."""
        self.generic_visit(node)
        return _through(SIZED, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802  # the library's naming
        """A tuple that is made is sized."""
        self.generic_visit(node)
        return _through(SIZED, node) if node.ctx == "load" else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802  # the library's naming
        """A list is sized."""
        self.generic_visit(node)
        return _through(SIZED, node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802  # the library's naming
        """A mapping is sized."""
        self.generic_visit(node)
        return _through(SIZED, node)


def _through(name: str, node: nodes.Expr) -> nodes.Filter:
    through = nodes.Filter(node, name, [], [], None, None)
    through.set_lineno(node.lineno)
    return through
