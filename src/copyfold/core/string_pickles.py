"""Read the strings out of a pickled numpy object array without building anything else.

Published stores hold ``sample_ids.npy`` and ``contigs.npy`` as object arrays, which numpy can only read by
running a pickle. Here the pickle's few numpy names are replaced by inert stand-ins, every other name is refused,
and what remains is a list of strings, or of tuples of strings and integers. Neither numpy's own ``__setstate__``
nor any callable from the file is ever reached.
"""

from __future__ import annotations

import pickle
from typing import IO, Any


class _Inert:
    """Stands for ``numpy.ndarray`` and ``numpy.dtype``: takes any argument and keeps the pickled state."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _inert(*_: Any) -> _Inert:
    return _Inert()


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _inert,
    ("numpy._core.multiarray", "_reconstruct"): _inert,
    ("numpy", "ndarray"): _Inert,
    ("numpy", "dtype"): _Inert,
}


class _StringsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise ValueError(
                f"the file asks for {module}.{name}, which may run code; only arrays of strings are read"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("the file holds persistent references; only arrays of strings are read")


def read_string_records(handle: IO[bytes]) -> list[Any]:
    """Elements of the pickled object array at the handle's position.

    Parameters
    ----------
    handle : binary file
        Positioned just behind the .npy header.

    Returns
    -------
    list
        Strings, or tuples whose elements are strings and integers (rows of a structured array).

    Raises
    ------
    ValueError
        The pickle is damaged, refers to any other class, or holds elements of another kind.
    """
    try:
        loaded = _StringsOnly(handle).load()
    except ValueError:
        raise
    except Exception as error:  # the unpickler raises nearly anything on damaged bytes
        raise ValueError(f"damaged pickle ({type(error).__name__})") from error
    state = loaded.state if isinstance(loaded, _Inert) else None
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[4], list):
        raise ValueError("not a pickled array of strings")
    for record in state[4]:
        values = record if type(record) is tuple else (record,)
        if not all(type(value) in (str, int) for value in values):
            raise ValueError("an element is neither a string nor an integer")
    return state[4]
