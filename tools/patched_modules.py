"""Gives loaded modules the values that they would have after a change of their source.

If a module were only imported anew, the code that imported it before would keep the old module:
collected tests, sandboxes, hubs. So the changed modules are imported in addition to the old
modules, and each value of an old module is changed in place until it equals the new value: tables,
functions, their closures, classes. A value that cannot be changed, such as a string, is replaced in
each module that imports it.
"""

from __future__ import annotations

import ast
import gc
import importlib
import operator
import sys
from contextlib import suppress
from enum import Enum
from functools import cache, partial
from pathlib import Path
from types import CellType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_SKIPPED: Final = frozenset(
    {
        "__annotations__",
        "__builtins__",
        "__cached__",
        "__dict__",
        "__doc__",
        "__file__",
        "__loader__",
        "__module__",
        "__name__",
        "__package__",
        "__slots__",
        "__spec__",
        "__static_attributes__",
        "__firstlineno__",
        "__weakref__",
    }
)


def imports_of(prefixes: Sequence[str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return, for each imported name, the importing modules and their names for the value."""
    users: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path is None or not name.startswith(tuple(prefixes)):
            continue
        source = Path(path).read_text("utf-8")
        if "moorage.vendors" in source:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and node.module:
                    for part in node.names:
                        users.setdefault((node.module, part.name), []).append(
                            (name, part.asname or part.name)
                        )
    return users


def reimported(names: Sequence[str]) -> dict[str, ModuleType]:
    """Import modules anew, in addition to the loaded modules, and return the new modules."""
    loaded = {name: sys.modules.pop(name) for name in names}
    try:
        return {name: importlib.import_module(name) for name in names}
    finally:
        for name, module in loaded.items():
            sys.modules[name] = module
            package, _, stem = name.rpartition(".")
            setattr(sys.modules[package], stem, module)


def patch_modules(
    new_modules: Mapping[str, ModuleType],
    users: Mapping[tuple[str, str], Iterable[tuple[str, str]]],
) -> None:
    """Change the loaded modules of these names in place, and the names that others import."""
    patches = _Patches()
    for name, new in new_modules.items():
        old = vars(sys.modules[name])
        for item in vars(new).keys() - _SKIPPED:
            value = patches.patched(old[item], vars(new)[item]) if item in old else vars(new)[item]
            if item in old and value is old[item]:
                continue
            old[item] = value
            for user, alias in users.get((name, item), ()):
                if user in sys.modules and user not in new_modules:
                    setattr(sys.modules[user], alias, value)


class _Patches:
    def __init__(self) -> None:
        self._results: dict[tuple[int, int], object] = {}
        self._alive: list[object] = []

    def patched(self, old: Any, new: Any) -> Any:
        """Return the old value after changing it in place, or the new value as its replacement."""
        if old is new or isinstance(new, ModuleType):
            return old
        place = id(old), id(new)
        if place not in self._results:
            self._alive += old, new
            self._results[place] = old
            self._results[place] = self.changed_of(old, new)
        return self._results[place]

    def changed_of(self, old: Any, new: Any) -> Any:
        if _name_of(type(old)) != _name_of(type(new)):
            return new
        for kind, method in _METHODS:
            if isinstance(old, kind):
                return method(self, old, new)
        return self.object_of(old, new)

    def leaf_of(self, old: Any, new: Any) -> Any:
        return old if old == new else new

    def member_of(self, old: Any, new: Any) -> Any:
        return old if old.name == new.name else new

    def tuple_of(self, old: Any, new: Any) -> Any:
        if _name_of(type(old)) != _name_of(tuple) or len(old) != len(new):
            return self.leaf_of(old, new)
        parts = tuple(map(self.patched, old, new))
        return old if all(map(operator.is_, old, parts)) else parts

    def list_of(self, old: Any, new: Any) -> Any:
        old[:] = [*map(self.patched, old, new), *new[len(old) :]]
        return old

    def mapping_of(self, old: Any, new: Any) -> Any:
        is_view = _name_of(type(old)) == _name_of(MappingProxyType)
        table: dict[Any, Any] = gc.get_referents(old)[0] if is_view else old
        items = {
            key: self.patched(table[key], value) if key in table else value
            for key, value in new.items()
        }
        table.clear()
        table.update(items)
        return old

    def cell_of(self, old: Any, new: Any) -> Any:
        with suppress(ValueError):  # empty
            old.cell_contents = self.patched(old.cell_contents, new.cell_contents)
        return old

    def partial_of(self, old: Any, new: Any) -> Any:
        *parts, names = old.__reduce__()[2]
        *new_parts, _ = new.__reduce__()[2]
        old.__setstate__((*map(self.patched, parts, new_parts), names))
        return old

    def wrapper_of(self, names: Sequence[str], old: Any, new: Any) -> Any:
        """Change the function that a method wraps, or return the new method."""
        pairs = [(getattr(old, name), getattr(new, name)) for name in names]
        is_changed = all([self.patched(*pair) is pair[0] for pair in pairs])  # noqa: C419 - all are patched
        return old if is_changed else new

    def method_of(self, old: Any, new: Any) -> Any:
        return self.wrapper_of(("__func__", "__self__"), old, new)

    def static_of(self, old: Any, new: Any) -> Any:
        return self.wrapper_of(("__func__",), old, new)

    def property_of(self, old: Any, new: Any) -> Any:
        return self.wrapper_of(("fget",), old, new)

    def cache_of(self, old: Any, new: Any) -> Any:
        old.cache_clear()
        return self.wrapper_of(("__wrapped__",), old, new)

    def function_of(self, old: Any, new: Any) -> Any:
        if old.__code__.co_freevars != new.__code__.co_freevars:
            return new
        old.__code__ = new.__code__
        old.__defaults__ = self.patched(old.__defaults__, new.__defaults__)
        old.__kwdefaults__ = self.patched(old.__kwdefaults__, new.__kwdefaults__)
        for cell, other in zip(old.__closure__ or (), new.__closure__ or (), strict=True):
            self.patched(cell, other)
        for name in old.__globals__.keys() & new.__globals__.keys():
            # Functions that attrs generates have their own globals, with validators and converters.
            if name.startswith(("attr_dict", "__attr_")):
                old.__globals__[name] = self.patched(old.__globals__[name], new.__globals__[name])
        return old

    def kind_of(self, old: Any, new: Any) -> Any:
        if _name_of(old) != _name_of(new):
            return new
        if Enum in old.__mro__:
            return old
        old_items: dict[str, Any] = dict(old.__dict__)
        new_items: dict[str, Any] = dict(new.__dict__)
        for name in new_items.keys() - _SKIPPED:
            value = new_items[name]
            if name in old_items:
                value = self.patched(old_items[name], value)
                if value is old_items[name]:
                    continue
            if _name_of(type(value))[1] != "member_descriptor":
                setattr(old, name, value)
        for name in old_items.keys() - new_items.keys() - _SKIPPED:
            delattr(old, name)
        return old

    def object_of(self, old: Any, new: Any) -> Any:
        names = _fields_of(old)
        if not names or not type(old).__module__.startswith(("moorage", "attr")):
            try:
                return self.leaf_of(old, new)
            except Exception:  # noqa: BLE001 - a comparison of somebody else's
                return new
        for name in names:
            with suppress(AttributeError):
                value = getattr(old, name)
                object.__setattr__(old, name, self.patched(value, getattr(new, name)))
        return old


def _name_of(kind: Any) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


def _fields_of(value: Any) -> list[str]:
    names = list(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [name for name in names if name not in _SKIPPED]


_METHODS: Final[tuple[tuple[Any, Callable[[_Patches, Any, Any], Any]], ...]] = (
    (Enum, _Patches.member_of),
    ((str, int, float, complex, bytes, type(None), frozenset, set), _Patches.leaf_of),
    (FunctionType, _Patches.function_of),
    (type, _Patches.kind_of),
    (tuple, _Patches.tuple_of),
    (list, _Patches.list_of),
    ((dict, MappingProxyType), _Patches.mapping_of),
    (CellType, _Patches.cell_of),
    (partial, _Patches.partial_of),
    ((staticmethod, classmethod), _Patches.static_of),
    (MethodType, _Patches.method_of),
    (property, _Patches.property_of),
    (type(cache(_name_of)), _Patches.cache_of),
)
"""For each type, the function that changes a value of this type in place."""
