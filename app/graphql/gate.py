"""What a document must pass before it is executed, cheapest test first, each in linear time."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    GraphQLSyntaxError,
    Node,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.graphql.completion import PlanCache
from app.graphql.cost import CostRule, Weigher, Weight
from app.graphql.errors import EdgeCode, ErrorBody, RequestRejected, syntax_rejected

_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\"""|\\|"(?!""))*+"""|"(?:[^"\\\n\r]++|\\.)*+"'
    r"|[_A-Za-z][_0-9A-Za-z]*|-?[0-9][0-9.eE+-]*|\.\.\.|(?P<open>[{\[(])|(?P<close>[}\])])"
    r"|#[^\n\r]*|[^\s,\ufeff]"
)
_RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
_CONDITIONS = frozenset({"skip", "include"})
_LABELS = {
    "bodyBytes": "size of the body in bytes",
    "jsonDepth": "depth of the JSON body",
    "documentChars": "length of the document in characters",
    "tokens": "number of tokens of the document",
    "nesting": "nesting of brackets in the document",
    "fragments": "number of fragments of the document",
    "rootFields": "number of root fields",
    "depth": "depth of the selection",
    "fields": "number of fields",
    "aliases": "number of aliases",
    "directives": "number of directives",
    "repeats": "number of times one field is repeated",
    "cost": "cost of the operation",
    "subscriptions": "number of open operations on this socket",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most of everything a request may bring; each refusal names its limit."""

    body_bytes: int = 1 << 20
    json_depth: int = 64
    document_chars: int = 100_000
    tokens: int = 1500
    nesting: int = 64
    fragments: int = 60
    depth: int = 20
    fields: int = 500
    aliases: int = 30
    directives: int = 30
    root_fields: int = 20
    repeats: int = 20
    cost: int = 100_000


@dataclass(slots=True, kw_only=True)
class Operation:
    """A validated operation, shared by all requests with the same document."""

    document: DocumentNode
    node: OperationDefinitionNode
    condition_variables: tuple[str, ...]
    """Variables that `@skip` and `@include` read: the selection depends on nothing else."""
    plans: PlanCache = field(default_factory=PlanCache)

    @property
    def name(self) -> str | None:
        """The name its author gave it."""
        return self.node.name.value if self.node.name else None

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation


@dataclass(frozen=True, slots=True)
class _Admitted:
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class _Refused:
    bodies: tuple[ErrorBody, ...]


class Gate:
    """Parses, limits and validates documents, and remembers the outcome by their text."""

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        limits: Limits | None = None,
        cost_rule: CostRule | None = None,
        cached_documents: int = 512,
        cached_chars: int = 500_000,
    ) -> None:
        self.limits = limits or Limits()
        self._schema = schema
        self._cost_rule = cost_rule or CostRule()
        self._seen: OrderedDict[str, _Admitted | _Refused] = OrderedDict()
        self._cached_documents = cached_documents
        self._cached_chars = cached_chars
        self._seen_chars = 0

    def admit(self, text: str, operation_name: str | None) -> Operation:
        """Return the operation to execute; raises RequestRejected with all that is wrong."""
        seen = self._seen.get(text)
        if seen is None:
            seen = self._judge(text)
            self._remember(text, seen)
        else:
            self._seen.move_to_end(text)
        if isinstance(seen, _Refused):
            raise RequestRejected(list(seen.bodies))
        return _choose(seen.operations, operation_name)

    def _remember(self, text: str, outcome: _Admitted | _Refused) -> None:
        """Keep an outcome; the least used ones go, so that their trees do not fill the memory."""
        self._seen[text] = outcome
        self._seen_chars += len(text)
        while len(self._seen) > self._cached_documents or self._seen_chars > self._cached_chars:
            dropped, _ = self._seen.popitem(last=False)
            self._seen_chars -= len(dropped)

    def _judge(self, text: str) -> _Admitted | _Refused:
        try:
            self._check_text(text)
            document = self._parse(text)
            self._check_weight(document)
            return self._validate(document)
        except RequestRejected as rejection:
            return _Refused(tuple(rejection.bodies))
        except RecursionError:
            limit = self.limits.nesting
            return _Refused(tuple(over_limit("nesting", limit + 1, limit).bodies))

    def _check_text(self, text: str) -> None:
        """Count characters, tokens and open brackets without building anything."""
        limits = self.limits
        _require("documentChars", len(text), limits.document_chars)
        tokens = nesting = 0
        for match in _TOKEN.finditer(text):
            if match[0].startswith("#"):
                continue
            tokens += 1
            if match["open"]:
                nesting += 1
                _require("nesting", nesting, limits.nesting)
            elif match["close"]:
                nesting -= 1
            _require("tokens", tokens, limits.tokens)

    def _parse(self, text: str) -> DocumentNode:
        try:
            return parse(text)
        except GraphQLSyntaxError as error:
            raise syntax_rejected(error) from None

    def _check_weight(self, document: DocumentNode) -> None:
        limits = self.limits
        weigher = Weigher(self._schema, document, self._cost_rule)
        fragments = [n for n in document.definitions if isinstance(n, FragmentDefinitionNode)]
        _require("fragments", len(fragments), limits.fragments)
        for node in _operations(document):
            _require("rootFields", len(node.selection_set.selections), limits.root_fields)
            self._check(weigher.weigh(node))

    def _check(self, weight: Weight) -> None:
        limits = self.limits
        _require("depth", weight.depth, limits.depth)
        _require("fields", weight.fields, limits.fields)
        _require("aliases", weight.aliases, limits.aliases)
        _require("directives", weight.directives, limits.directives)
        _require("repeats", weight.repeats, limits.repeats)
        _require("cost", weight.cost, limits.cost)

    def _validate(self, document: DocumentNode) -> _Admitted | _Refused:
        errors = validate(self._schema, document, _RULES, max_errors=20)
        if errors:
            rejection = RequestRejected.of(errors, EdgeCode.VALIDATION_FAILED)
            return _Refused(tuple(rejection.bodies))
        conditions = tuple(sorted(_condition_variables(document)))
        return _Admitted(
            tuple(
                Operation(document=document, node=node, condition_variables=conditions)
                for node in _operations(document)
            )
        )


def over_limit(limit: str, value: int, maximum: int) -> RequestRejected:
    """Build the refusal of a request that asks for too much of one thing."""
    return RequestRejected.one(
        f"The {_LABELS[limit]} is {value}; the limit is {maximum}.",
        EdgeCode.LIMIT_EXCEEDED,
        extras={"limit": limit, "value": value, "maximum": maximum},
    )


def _require(limit: str, value: int, maximum: int) -> None:
    if value > maximum:
        raise over_limit(limit, value, maximum)


def _choose(operations: Iterable[Operation], name: str | None) -> Operation:
    found = [op for op in operations if name is None or op.name == name]
    if len(found) == 1:
        return found[0]
    message = (
        f"Unknown operation named {name!r}."
        if name is not None
        else "Must provide operation name if query contains multiple operations."
    )
    raise RequestRejected.one(message, EdgeCode.BAD_USER_INPUT)


def _operations(document: DocumentNode) -> Iterator[OperationDefinitionNode]:
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            yield node


def _condition_variables(document: DocumentNode) -> set[str]:
    found: set[str] = set()
    pending: list[Node] = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, DirectiveNode) and node.name.value in _CONDITIONS:
            values = [argument.value for argument in node.arguments or ()]
            found.update(value.name.value for value in values if isinstance(value, VariableNode))
        for key in node.keys:
            child: Any = getattr(node, key, None)
            children = cast("tuple[Any, ...]", child if isinstance(child, tuple) else (child,))
            pending.extend(item for item in children if isinstance(item, Node))
    return found
