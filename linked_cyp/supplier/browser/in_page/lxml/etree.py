"""``iterparse`` over expat: elements with a namespaced tag, text, children and parent."""

from xml.parsers import expat

_CHUNK = 1 << 15


class XMLSyntaxError(SyntaxError):
    pass


class _Document:
    def __init__(self):
        self.internalDTD = None

    @property
    def docinfo(self):
        return self


class Element:
    __slots__ = ("_children", "_document", "_parent", "tag", "text")

    def __init__(self, tag, parent, document):
        self.tag, self.text = tag, None
        self._parent, self._document, self._children = parent, document, []

    def __iter__(self):
        return iter(self._children)

    def __len__(self):
        return len(self._children)

    def __delitem__(self, index):
        del self._children[index]

    def iter(self):
        yield self
        for child in self._children:
            yield from child.iter()

    def clear(self):
        self.text, self._children = None, []

    def getparent(self):
        return self._parent

    def getprevious(self):
        siblings = self._parent._children if self._parent is not None else [self]
        place = next(n for n, child in enumerate(siblings) if child is self)
        return siblings[place - 1] if place else None

    def getroottree(self):
        return self._document


def iterparse(source, events=("end",), tag=None, encoding=None, **_):
    """(event, element) of the wanted elements; what was complete comes before an error."""
    wanted = None if tag is None else {name.removeprefix("{*}") for name in tag}
    parser = expat.ParserCreate(encoding, "}")
    parser.buffer_text = True
    document, ready, open_ = _Document(), [], []

    def tell(event, element):
        if event in events and (wanted is None or element.tag.rpartition("}")[2] in wanted):
            ready.append((event, element))

    def start(name, _):
        parent = open_[-1] if open_ else None
        element = Element("{" + name if "}" in name else name, parent, document)
        if parent is not None:
            parent._children.append(element)
        open_.append(element)
        tell("start", element)

    def end(_):
        tell("end", open_.pop())

    def text(data):
        if open_ and not open_[-1]._children:
            open_[-1].text = (open_[-1].text or "") + data

    def doctype(*_):
        document.internalDTD = True

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    finished = False
    while not finished:
        data = source.read(_CHUNK)
        finished = not data
        error = None
        try:
            parser.Parse(data, finished)
        except expat.ExpatError as found:
            error = found
        yield from ready
        ready.clear()
        if error is not None:
            raise XMLSyntaxError(expat.errors.messages.get(error.code, "not well formed"))
