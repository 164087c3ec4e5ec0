"""Labels and label selectors: what is allowed, and what matches.

Grammar and limits: the sections "Labels" and "Label Selector" of the vendor's API document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX_LENGTH = 253
_RESERVED_PREFIX = "hetzner.cloud"


def key_problem(key: str) -> str | None:
    """What is wrong with a label's key, or None."""
    prefix, slash, name = key.rpartition("/")
    if slash:
        if prefix == _RESERVED_PREFIX:
            return f"label key '{key}': the prefix '{_RESERVED_PREFIX}/' is reserved"
        if len(prefix) > _PREFIX_LENGTH or not all(_DNS_LABEL.fullmatch(part) for part in prefix.split(".")):
            return f"label key '{key}': the prefix must be a DNS subdomain of at most {_PREFIX_LENGTH} characters"
    if not _NAME.fullmatch(name):
        return f"label key '{key}': the name must have 1 to 63 characters of [A-Za-z0-9._-], alphanumeric at both ends"
    return None


def value_problem(value: str) -> str | None:
    """What is wrong with a label's value, or None."""
    if value and not _NAME.fullmatch(value):
        return f"label value '{value}' must have at most 63 characters of [A-Za-z0-9._-], alphanumeric at both ends"
    return None


def labels_problem(labels: Mapping[str, str]) -> str | None:
    """The first thing wrong with a set of labels, or None."""
    for key, value in labels.items():
        problem = key_problem(key) or value_problem(value)
        if problem:
            return problem
    return None


@dataclass(frozen=True)
class _Term:
    """``key`` must (or, negated, must not) be there with one of ``values``; None as values: with any value."""

    key: str
    values: frozenset[str] | None
    negated: bool

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return found != self.negated


_SET_TERM = re.compile(r"(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALITY_TERM = re.compile(r"(?P<key>[^\s!=,()]+)\s*(?P<operator>==|!=|=)\s*(?P<value>[^\s!=,()]*)")
_PRESENCE_TERM = re.compile(r"(?P<negation>!?)\s*(?P<key>[^\s!=,()]+)")
_SEPARATOR = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True)
class Selector:
    """A parsed label selector; all its terms must match."""

    terms: tuple[_Term, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Raises ValueError, saying which term is wrong."""
        return cls(tuple(_parse_term(term.strip()) for term in _SEPARATOR.split(text)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(term.matches(labels) for term in self.terms)


def _parse_term(text: str) -> _Term:
    if match := _SET_TERM.fullmatch(text):
        values = frozenset(value.strip() for value in match["values"].split(","))
        term = _Term(match["key"], values, negated=match["operator"] == "notin")
    elif match := _EQUALITY_TERM.fullmatch(text):
        term = _Term(match["key"], frozenset({match["value"]}), negated=match["operator"] == "!=")
    elif match := _PRESENCE_TERM.fullmatch(text):
        term = _Term(match["key"], None, negated=bool(match["negation"]))
    else:
        raise ValueError(f"'{text}' is not a label selector")
    problem = key_problem(term.key) or next(filter(None, map(value_problem, sorted(term.values or ()))), None)
    if problem:
        raise ValueError(problem)
    return term
