"""Render the reference of the Python SDK as Markdown, from signatures and docstrings.

griffe reads the sources without importing them. The output has no paths and no line numbers, so it
changes only when a signature or a docstring does.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import griffe

SOURCES = Path(__file__).parent.parent / "packages" / "corvo-client" / "src"
WIDTH = 100

_LITERAL = re.compile(r"^::\n\n((?:[ ]{4}.*(?:\n|\Z)|\n)+)", re.MULTILINE)
_MARKERS = {
    griffe.ParameterKind.var_positional: "*",
    griffe.ParameterKind.var_keyword: "**",
}


def sdk_reference() -> Iterator[str]:
    """Yield the lines on the clients, the options of their calls, and the errors."""
    yield from _class("corvo_client.Client")
    yield from _class("corvo_client.AsyncClient", with_members=False)
    yield from _class("corvo_client.BulkHandle")
    yield from _class("corvo_client.RetryPolicy")
    yield from _class("corvo_client.EncryptionCodec")
    yield from _class("corvo_client.Codec", with_signature=False)
    yield from _class("corvo_client.AboutDocument", level=3)
    yield from _class("corvo_client.DocumentKind", level=3, with_signature=False)
    yield "## Options of calls"
    yield ""
    yield "The keyword arguments that several calls share. All of them are optional."
    yield ""
    for name in ("EnqueueOptions", "DefaultOptions", "NewJob", "ScheduleOptions", "SearchFilters"):
        yield from _class(f"corvo_client.{name}", level=3)
    yield "## Errors"
    yield ""
    yield from _text(_find("corvo_client._errors"))
    for error in _find("corvo_client._errors").classes.values():
        yield from _class(error.path, level=3, with_signature=False)


def worker_reference() -> Iterator[str]:
    """Yield the lines on the worker, tasks, the context, and the exceptions of handlers."""
    for name in ("Worker", "Task", "Context"):
        yield from _class(f"corvo_client.worker.{name}")
    yield from _function(_find("corvo_client.worker.current_job"), "current_job", level=2)
    yield "## Exceptions that a handler can raise"
    yield ""
    for name in ("Retry", "Snooze", "Cancel"):
        yield from _class(f"corvo_client.worker.{name}", level=3)


def testing_reference() -> Iterator[str]:
    """Yield the lines on recorded jobs, servers for tests, the outbox, and traces."""
    yield from _function(_find("corvo_client.testing.recording"), "recording", level=2)
    yield from _function(
        _find("corvo_client.testing._context.fake_context"), "fake_context", level=2
    )
    for name in ("RecordedJobs", "FakeContext", "LocalServer", "Drained"):
        yield from _class(f"corvo_client.testing.{name}")
    yield from _function(_find("corvo_client._redirect.redirecting"), "redirecting", level=2)
    yield from _class("corvo_client.outbox.sqlalchemy.Outbox")
    yield from _function(_find("corvo_client.otel.tracing"), "tracing", level=2)


@cache
def _package() -> griffe.Module:
    loader = griffe.GriffeLoader(search_paths=[SOURCES])
    package = loader.load("corvo_client")
    loader.resolve_aliases(implicit=True)
    if not isinstance(package, griffe.Module):
        raise SystemExit(f"{SOURCES} has no package corvo_client")
    return package


def _find(path: str) -> griffe.Object:
    """Return the object that a dotted path leads to, also through imports."""
    found = _package()[path.removeprefix("corvo_client.")]
    return found.final_target if isinstance(found, griffe.Alias) else found


def _class(
    path: str, *, level: int = 2, with_members: bool = True, with_signature: bool = True
) -> Iterator[str]:
    found = _find(path)
    if not isinstance(found, griffe.Class):
        raise SystemExit(f"{path} is not a class")
    yield f"{'#' * level} {found.name}"
    yield ""
    members = list(_members(found))
    if any(str(base) == "TypedDict" for owner in (found, *found.mro()) for base in owner.bases):
        fields = [f"{m.name}: {m.annotation}" for m in members if isinstance(m, griffe.Attribute)]
        yield from _signature(found.name, fields)
        yield from _text(found)
        return
    if with_signature:
        yield from _signature(found.name, _parameters(found.parameters))
    yield from _text(found)
    if with_members:
        yield from _attributes(m for m in members if isinstance(m, griffe.Attribute))
        for member in members:
            if isinstance(member, griffe.Function) and member.docstring:
                name = f"{found.name}.{member.name}"
                yield from _function(member, name, level=level + 1)


def _members(found: griffe.Class) -> Iterator[griffe.Object]:
    """Yield the public members of a class: those of its bases first, in the order of the source."""
    owners = (*found.mro(), found)
    names = dict.fromkeys(name for owner in owners for name in owner.members)
    for name in names:
        member = found.all_members[name]
        if not name.startswith("_"):
            yield member.final_target if isinstance(member, griffe.Alias) else member


def _attributes(attributes: Iterable[griffe.Attribute]) -> Iterator[str]:
    documented = [attribute for attribute in attributes if attribute.docstring]
    if not documented:
        return
    yield "Attributes:"
    yield ""
    for attribute in documented:
        kind = f": {attribute.annotation}" if attribute.annotation else ""
        yield f"- `{attribute.name}{kind}`: {' '.join(_docstring(attribute).split())}"
    yield ""


def _function(found: griffe.Object, name: str, *, level: int) -> Iterator[str]:
    if not isinstance(found, griffe.Function):
        raise SystemExit(f"{found.path} is not a function")
    yield f"{'#' * level} {name}"
    yield ""
    signatures = found.overloads or [found]
    decorators = [f"@{d.value}" for d in found.decorators if "contextmanager" in str(d.value)]
    prefix = "async " if "async" in found.labels else ""
    for each in signatures:
        result = f" -> {each.returns}" if each.returns else ""
        parameters = _parameters(each.parameters)
        yield from _signature(prefix + found.name, parameters, result, decorators)
    yield from _text(found)


def _signature(
    name: str, parameters: list[str], result: str = "", decorators: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a block of code: a signature on one line or, if it is too long, on several."""
    yield "```py"
    yield from decorators
    line = f"{name}({', '.join(parameters)}){result}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield f"{name}("
        yield from (f"    {parameter}," for parameter in parameters)
        yield f"){result}"
    yield "```"
    yield ""


def _parameters(parameters: griffe.Parameters) -> list[str]:
    """Return the parameters as they stand in a signature, without `self`."""
    shown: list[str] = []
    is_keyword_only = False
    for parameter in parameters:
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not is_keyword_only:
            shown.append("*")
        is_keyword_only |= parameter.kind in {
            griffe.ParameterKind.keyword_only,
            griffe.ParameterKind.var_positional,
        }
        marker = _MARKERS.get(parameter.kind, "")
        text = f"{marker}{parameter.name}"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not marker:
            text += f" = {_default(parameter.default)}"
        shown.append(text)
    return shown


def _default(default: str | griffe.Expr) -> str:
    """Return a default as text; the name of a private constant is replaced by its value."""
    if isinstance(default, griffe.ExprName) and default.name.startswith("_"):
        constant = _find(default.canonical_path)
        if isinstance(constant, griffe.Attribute):
            return str(constant.value)
    return str(default)


def _text(found: griffe.Object) -> Iterator[str]:
    text = _docstring(found)
    if text:
        yield _LITERAL.sub(lambda literal: f"```text\n{_dedented(literal[1])}\n```\n", text).strip()
        yield ""


def _docstring(found: griffe.Object) -> str:
    return found.docstring.value if found.docstring else ""


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.strip("\n").splitlines())
