"""Read a lab file: YAML to a Lab, every error with the file, the line and the key."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import msgspec
import yaml
from msgspec.structs import replace

from cowdb.controller.lab.spec.model import Lab, Section, Strategy
from cowdb.errors import InvalidError, NotFoundError

_HINT = "cowdb lab init writes an example"
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*?)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_LARGEST = 2**20  # bytes


def read(path: Path) -> Lab:
    """:raises NotFoundError: there is no such file. InvalidError: it is not a lab file."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}", hint=_HINT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"{path} cannot be read: {error}") from error
    if len(text) > _LARGEST:
        raise InvalidError(f"{path} is larger than {_LARGEST} characters")
    return parse(text, str(path), path.parent)


def parse(text: str, label: str, directory: Path) -> Lab:
    """:param label: what errors call the file.
    :param directory: what its paths start from; each file that it names must be there."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidError(f"{label}:{line}: {error.problem or error}") from error
    except yaml.YAMLError as error:
        raise InvalidError(f"{label}: {error}") from error
    if root is None:
        raise InvalidError(f"{label} is empty", hint=_HINT)
    file = _File(label, root)
    file.refuse_repeated_keys()
    try:
        lab = msgspec.convert(yaml.safe_load(text), Lab)
    except msgspec.ValidationError as error:
        raise file.explained(str(error)) from error
    _check(lab, file, directory)
    return lab


class _File:
    """Knows where each key of the file stands. Paths are as msgspec writes them: `.a.b[0].c`."""

    def __init__(self, label: str, root: yaml.Node) -> None:
        self._label, self._root = label, root

    def error(self, path: str, what: str, hint: str = _HINT, key: str = "") -> InvalidError:
        line = self._line(path, key)
        place = path.lstrip(".") or "the file"
        return InvalidError(f"{self._label}:{line}: {place}: {what}", hint=hint)

    def explained(self, message: str) -> InvalidError:
        """msgspec's words, with the line and what may have been meant."""
        found = _PATH.match(message)
        assert found is not None
        path, what = found["path"] or "", found["what"]
        unknown = _UNKNOWN.search(what)
        if unknown is None:
            return self.error(path, what[:1].lower() + what[1:])
        key, known = unknown["key"], _fields_at(path)
        close = get_close_matches(key, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        return self.error(path, f"unknown key {key!r}", hint, key)

    def refuse_repeated_keys(self) -> None:
        """YAML forbids them and PyYAML takes the last, which is a silence about a mistake."""
        for node in _nodes(self._root):
            if isinstance(node, yaml.MappingNode):
                counts = Counter(str(key.value) for key, _ in node.value)
                for key, _ in node.value:
                    if counts[str(key.value)] > 1:
                        raise InvalidError(
                            f"{self._label}:{key.start_mark.line + 1}: the key {key.value!r} "
                            "is given twice", hint="keep one of them",
                        )  # fmt: skip

    def _line(self, path: str, key: str) -> int:
        node = self._root
        line = node.start_mark.line
        for name, index in re.findall(
            r"\.([^.\[\]]+)|\[(\d+)\]", path + (f".{key}" if key else "")
        ):
            if isinstance(node, yaml.MappingNode):
                pairs = [pair for pair in node.value if str(pair[0].value) == name]
                if not pairs:
                    break
                line, node = pairs[0][0].start_mark.line, pairs[0][1]
            elif isinstance(node, yaml.SequenceNode) and index:
                node = node.value[int(index)]
                line = node.start_mark.line
        return int(line) + 1


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _nodes(key)
            yield from _nodes(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _nodes(item)


def _fields_at(path: str) -> list[str]:
    """The keys that are known in a section, by walking the model's types."""
    kind: object = Lab
    for name, _ in _STEP.findall(path):
        if name:
            info = msgspec.structs.fields(kind)  # type: ignore[arg-type]
            kind = next(item.type for item in info if item.encode_name == name)
        kind = _section_in(kind)
    return [item.encode_name for item in msgspec.structs.fields(kind)]  # type: ignore[arg-type]


def _section_in(kind: object) -> object:
    """The section inside `list[Strategy]`, `Limits | None` or an annotated one of these."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind
    for inner in getattr(kind, "__args__", ()):
        found = _section_in(inner)
        if isinstance(found, type) and issubclass(found, Section):
            return found
    return kind


def _check(lab: Lab, file: _File, directory: Path) -> None:
    """What concerns two fields at once, and the files that are named."""
    migration, at = lab.tests.migration, ".tests.migration"
    names = Counter(item.name for item in migration.branches)
    for number, strategy in enumerate(migration.branches):
        place = f"{at}.branches[{number}]"
        if names[strategy.name] > 1:
            raise file.error(f"{place}.name", f"{strategy.name!r} is used twice",
                             "give each branch a name of its own")  # fmt: skip
        _check_strategy(strategy, place, file, directory)
    for number, one in enumerate(migration.validate):
        if not one.sql.strip():
            raise file.error(f"{at}.validate[{number}].sql", "the query is empty")
    if migration.load is not None:
        _check_load(lab, f"{at}.load", file, directory)


def _check_strategy(strategy: Strategy, place: str, file: _File, directory: Path) -> None:
    if (strategy.command is None) == (strategy.sql is None):
        raise file.error(place, f"{strategy.name!r} needs a command or sql, and not both",
                         "command: psql -f migrations/v2.sql")  # fmt: skip
    if strategy.command is not None and not strategy.command.strip():
        raise file.error(f"{place}.command", "the command is empty")
    if strategy.sql is not None and not strategy.files:
        raise file.error(f"{place}.sql", "there is no file")
    for name in strategy.files:
        _require(directory / name, f"{place}.sql", file)


def _check_load(lab: Lab, place: str, file: _File, directory: Path) -> None:
    from cowdb.controller.lab.load.queries import prepared  # which imports this package

    load = lab.tests.migration.load
    assert load is not None
    if (load.pgbench is None) == (not load.queries):
        raise file.error(place, "a load has queries or a pgbench script, and not both",
                         "queries: [{ name: read, sql: select 1 }]")  # fmt: skip
    if load.pgbench is not None:
        _require(directory / load.pgbench, f"{place}.pgbench", file)
    for number, query in enumerate(load.queries):
        here = f"{place}.queries[{number}]"
        if (query.sql is None) == (query.file is None):
            raise file.error(here, f"query {query.name!r} needs sql or a file, and not both")
        if query.file is not None:
            _require(directory / query.file, f"{here}.file", file)
        try:
            prepared(replace(load, queries=[query]), directory)
        except InvalidError as error:
            what = error.message.removeprefix(f"query {query.name!r} ")
            key = "sql" if query.file is None else "file"
            raise file.error(f"{here}.{key}", what, error.hint) from error


def _require(path: Path, place: str, file: _File) -> None:
    if not path.is_file():
        raise file.error(place, f"there is no file {path}",
                         "paths start from the lab file's directory")  # fmt: skip
