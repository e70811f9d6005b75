"""Texts held against what the panels send: paths, and values that a text needs but may not get."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import TemplateError, nodes

from engine.rules.expressions import Path
from engine.rules.guarding import SIZED
from engine.rules.lint_expressions import lint_compared_event
from engine.rules.lint_facts import NONE, Paths
from engine.rules.lint_never import lint_value
from engine.rules.lint_scope import Facts, How, Scope
from engine.rules.lint_several import TOLD, asks_which
from engine.rules.templates import parsed

_DEFAULTS = {"default", "d"}
_TAKE_NULL = {"default", "changed", "secret"}
_ORDERS = {"lt", "gt", "lteq", "gteq"}


def lint_template(text: str, scope: Scope, facts: Facts, *, needed: bool = True) -> None:
    """Report what is doubtful in a text; `needed`: it cannot do without its values."""
    try:
        tree = parsed(text)
    except (TemplateError, RecursionError):
        return  # Reported where the text was compiled.
    _Reader(scope, needed=needed).body(tree.body, facts)


def paths_in(text: str, scope: Scope) -> Facts:
    """The paths that the text prints as they are."""
    try:
        outputs = list(parsed(text).find_all(nodes.Output))
    except (TemplateError, RecursionError):
        return frozenset()
    printed = [_path(one) for output in outputs for one in output.nodes]
    return scope.given(path for path in printed if path)


# By name: bound methods would tie each reader into a knot that only the collector undoes.
_METHODS: Mapping[type[nodes.Node], str] = {
    nodes.Name: "_read",
    nodes.Getattr: "_read",
    nodes.Getitem: "_read",
    nodes.Filter: "_filter",
    nodes.Call: "_call",
    nodes.Test: "_inside",
    nodes.Not: "_inside",
    nodes.Compare: "_compare",
    nodes.And: "_and",
    nodes.Or: "_or",
    nodes.CondExpr: "_choice",
    nodes.Output: "_output",
    nodes.If: "_if",
    nodes.For: "_for",
    nodes.Assign: "_assign",
}


class _Reader:
    """Goes through a parsed template; names that the template itself gives are left alone."""

    def __init__(self, scope: Scope, *, needed: bool) -> None:
        self.scope = scope
        self.needed = needed
        self._own: set[str] = set()

    def body(self, body: Iterable[nodes.Node], facts: Facts) -> None:
        """A piece of the template, in order."""
        for node in body:
            self.use(node, facts, needed=False)

    def use(self, node: nodes.Node, facts: Facts, *, needed: bool) -> None:
        """One node; `needed`: a null there is an error."""
        known = _METHODS.get(type(node))
        if known:
            getattr(self, known)(node, facts, needed)
            return
        operates = isinstance(node, nodes.BinExpr | nodes.UnaryExpr | nodes.Concat)
        for child in node.iter_child_nodes():
            self.use(child, facts, needed=operates)

    def _read(self, node: nodes.Expr, facts: Facts, needed: bool) -> None:
        path = _path(node)
        if not path:
            for child in node.iter_child_nodes():
                self.use(child, facts, needed=needed)
        elif path[0] not in self._own:
            demanded = needed and self.needed
            how = How(facts, lenient=not needed, needed=demanded)
            found = self.scope.follow(path, how)
            if found.nulls and demanded:
                self.scope.null_in_text(found)
            elif demanded:
                self.scope.not_on_all(found, facts, "a text", "ask for it with when: {}")

    def _filter(self, node: nodes.Filter, facts: Facts, needed: bool) -> None:
        if node.node is not None:
            self.use(node.node, facts, needed=node.name not in {*_DEFAULTS, SIZED})
        for one in (*node.args, *(pair.value for pair in node.kwargs)):
            self.use(one, facts, needed=needed)

    def _call(self, node: nodes.Call, facts: Facts, needed: bool) -> None:
        called = node.node
        if isinstance(called, nodes.Getattr):  # a method: `user.email.lower()`
            self.use(called.node, facts, needed=True)
        demanding = not (isinstance(called, nodes.Name) and called.name in _TAKE_NULL)
        for one in node.args:
            self.use(one, facts, needed=demanding)
        del needed

    def _inside(self, node: nodes.Node, facts: Facts, needed: bool) -> None:
        for child in node.iter_child_nodes():
            self.use(child, facts, needed=False)
        del needed

    def _compare(self, node: nodes.Compare, facts: Facts, needed: bool) -> None:
        orders = any(one.op in _ORDERS for one in node.ops)
        sides = [node.expr, *(one.expr for one in node.ops)]
        for side in sides:
            self.use(side, facts, needed=orders)
        if any(_path(side) == ("event",) for side in sides):
            for name in _texts(sides):
                lint_compared_event(name, self.scope)
        self._words(sides, facts)
        del needed

    def _words(self, sides: list[nodes.Expr], facts: Facts) -> None:
        """A comparison with a word that the field never is."""
        for path in filter(None, map(_path, sides)):
            if path[0] in self._own:
                continue
            found = self.scope.follow(path, How(facts, lenient=True))
            for word in _texts(sides):
                lint_value(found.text, found.shape.enum, word, self.scope)

    def _and(self, node: nodes.And, facts: Facts, needed: bool) -> None:
        self.use(node.left, facts, needed=False)
        self.use(node.right, self._with(facts, node.left, truth=True), needed=needed)

    def _or(self, node: nodes.Or, facts: Facts, needed: bool) -> None:
        self.use(node.left, facts, needed=False)
        self.use(node.right, self._with(facts, node.left, truth=False), needed=needed)

    def _choice(self, node: nodes.CondExpr, facts: Facts, needed: bool) -> None:
        self.use(node.test, facts, needed=False)
        self.use(node.expr1, self._with(facts, node.test, truth=True), needed=needed)
        if node.expr2 is not None:
            self.use(node.expr2, self._with(facts, node.test, truth=False), needed=needed)

    def _output(self, node: nodes.Output, facts: Facts, needed: bool) -> None:
        for one in node.nodes:
            self.use(one, facts, needed=True)
        del needed

    def _if(self, node: nodes.If, facts: Facts, needed: bool) -> None:
        self.use(node.test, facts, needed=False)
        self.body(node.body, self._with(facts, node.test, truth=True))
        facts = self._with(facts, node.test, truth=False)
        self.body([*node.elif_, *node.else_], facts)
        del needed

    def _for(self, node: nodes.For, facts: Facts, needed: bool) -> None:
        self.use(node.iter, facts, needed=True)
        outer = set(self._own)
        self._own |= {"loop", *(name.name for name in _names(node.target))}
        if node.test is not None:
            self.use(node.test, facts, needed=False)
        self.body(node.body, facts)
        self._own = outer
        self.body(node.else_, facts)
        del needed

    def _assign(self, node: nodes.Assign, facts: Facts, needed: bool) -> None:
        self.use(node.node, facts, needed=needed)
        self._own |= {name.name for name in _names(node.target)}

    def _with(self, facts: Facts, test: nodes.Node, *, truth: bool) -> Facts:
        # Often one way is for the one event, and one for the other.
        told = TOLD if not truth or _asks_for_nothing(test) else asks_which(_names_in(test))
        return facts | told | self.scope.given(_facts(test, truth=truth))


def _names(target: nodes.Node) -> list[nodes.Name]:
    return [target] if isinstance(target, nodes.Name) else list(target.find_all(nodes.Name))


def _names_in(test: nodes.Node) -> list[Path]:
    found = (test, *test.find_all(nodes.Name))
    return [(one.name,) for one in found if isinstance(one, nodes.Name)]


def _asks_for_nothing(test: nodes.Node) -> bool:
    """Whether a test may ask for what is not there."""
    return any(
        isinstance(one, nodes.Not | nodes.Test)
        or (isinstance(one, nodes.Const) and one.value is None)
        for one in (test, *test.find_all((nodes.Not, nodes.Test, nodes.Const)))
    )


def _path(node: nodes.Node) -> Path:
    """The path that an expression spells, or () where it does something else."""
    if isinstance(node, nodes.Name):
        return (str(node.name),)
    if isinstance(node, nodes.Getattr):
        base = _path(node.node)
        return (*base, str(node.attr)) if base else ()
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        base, key = _path(node.node), node.arg.value
        return (*base, key) if base and isinstance(key, str | int) else ()
    return ()


def _texts(sides: Iterable[nodes.Node]) -> list[str]:
    """The texts that are written out, also in a list, which Jinja may have made one constant."""
    values: list[Any] = []
    for side in sides:
        if isinstance(side, nodes.Filter) and side.name == SIZED and side.node is not None:
            values += _texts([side.node])
        elif isinstance(side, nodes.List | nodes.Tuple):
            values += _texts(side.items)
        elif isinstance(side, nodes.Const):
            values += side.value if isinstance(side.value, list | tuple) else [side.value]
    return [value for value in values if isinstance(value, str)]


def _facts(test: nodes.Node, *, truth: bool) -> Paths:
    """The paths that are there where a test comes out true, or false."""
    if isinstance(test, nodes.Not):
        return _facts(test.node, truth=not truth)
    if isinstance(test, nodes.And | nodes.Or):
        left, right = _facts(test.left, truth=truth), _facts(test.right, truth=truth)
        return left | right if isinstance(test, nodes.And) is truth else left & right
    if isinstance(test, nodes.Compare):
        return _compared(test, truth=truth)
    if isinstance(test, nodes.Test):
        negative = test.name in {"none", "undefined"}
        return NONE if negative is truth else _one(test.node)
    return _one(test) if truth else NONE


def _one(node: nodes.Node) -> Paths:
    path = _path(node)
    return frozenset({path}) if path else NONE


def _compared(test: nodes.Compare, *, truth: bool) -> Paths:
    (first, *others) = test.ops
    if others:
        return NONE
    sides = (test.expr, first.expr)
    paths = NONE.union(*map(_one, sides))
    null = any(isinstance(one, nodes.Const) and one.value is None for one in sides)
    if first.op in {"eq", "ne"}:
        return paths if ((first.op == "eq") is truth) is not null else NONE
    return paths if first.op in _ORDERS or truth else NONE
