"""The XML that S3 speaks: documents written from plain data, and the few that are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

from lab.object_storage.errors import StorageError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

#: Control characters, which no document may contain; clients ask for keys encoded ("encoding-type") for that reason.
_NOT_IN_XML = {number: "\ufffd" for number in range(32) if chr(number) not in "\t\n\r"}

#: An element: its name, and its text or the elements in it. None leaves it out.
Node = tuple[str, "str | int | bool | Sequence[Node] | None"]


def document(node: Node, namespace: bool = True) -> bytes:
    root = _element(node)
    if namespace:
        root.set("xmlns", NAMESPACE)
    content: bytes = ElementTree.tostring(root, encoding="utf-8")
    return _DECLARATION + content


def _element(node: Node) -> ElementTree.Element:
    name, content = node
    element = ElementTree.Element(name)
    if isinstance(content, bool):
        element.text = "true" if content else "false"
    elif isinstance(content, str | int):
        element.text = str(content).translate(_NOT_IN_XML)
    elif content is not None:
        element.extend([_element(child) for child in content if child[1] is not None])
    return element


def parse(body: bytes, root: str) -> ElementTree.Element:
    """The root of a document, names without namespace. Raises StorageError unless it is called so."""
    if b"<!" in body:
        # A document type could blow up into more than memory holds; no client sends one.
        raise StorageError("MalformedXML")
    try:
        found = ElementTree.fromstring(body)  # noqa: S314 because of the lines above
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise StorageError("MalformedXML") from error
    for element in found.iter():
        element.tag = element.tag.rpartition("}")[2]
    if found.tag != root:
        raise StorageError("MalformedXML")
    return found


def time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds % 1 * 1000):03}Z"
