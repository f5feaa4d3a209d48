"""How docstrings look on the pages of the API; an extension of griffe.

Fields of dataclasses and named tuples become a list of parameters, each with the sentence below it. The first sentence
of ``__init__`` says no more than that it stores its arguments, so only its arguments are shown.
"""

from griffe import (
    Attribute,
    Class,
    Docstring,
    DocstringParameter,
    DocstringSection,
    DocstringSectionKind,
    DocstringSectionParameters,
    Extension,
    Function,
    Parser,
)


class Tidy(Extension):
    """Arranges the docstrings of classes."""

    def on_class(self, *, cls: Class, **_: object) -> None:
        """Turn fields and ``__init__`` of a class into one list of parameters."""
        init = cls.members.get("__init__")
        if isinstance(init, Function) and init.docstring:
            sections = init.docstring.parse(Parser.google)
            _show(init.docstring, [part for part in sections if part.kind is not DocstringSectionKind.text])
        if not (_is_dataclass(cls) or "NamedTuple" in map(str, cls.bases)):
            return
        fields = [
            member
            for name, member in cls.members.items()
            if isinstance(member, Attribute)
            and member.annotation is not None
            and "property" not in member.labels
            and not name.startswith("_")
        ]
        if fields:
            docstring = cls.docstring or Docstring("", parent=cls)
            # A user makes the dataclasses, and reads the named tuples that functions return.
            title = "Parameters:" if _is_dataclass(cls) else "Fields:"
            _show(docstring, [*docstring.parse(Parser.google), _listed(fields, title)])
            cls.docstring = docstring
            for field in fields:
                field.docstring = None


def _is_dataclass(cls: Class) -> bool:
    return any("dataclass" in str(decorator.value) for decorator in cls.decorators)


def _listed(fields: list[Attribute], title: str) -> DocstringSection:
    return DocstringSectionParameters(
        [
            DocstringParameter(
                field.name,
                annotation=field.annotation,
                description=field.docstring.value if field.docstring else "",
                value=_default(field),
            )
            for field in fields
        ],
        title=title,
    )


def _default(field: Attribute) -> str | None:
    # A factory's default is empty.
    return None if field.value is None or str(field.value).startswith("field(") else str(field.value)


def _show(docstring: Docstring, sections: list[DocstringSection]) -> None:
    # The cache of Docstring.parsed: griffe has no other way to hand over sections.
    docstring.__dict__["parsed"] = sections
