"""The decorator of all kernels: Numba compiles them so that every processor computes the same bytes.

Two rules for a kernel:

* It calls only kernels of its own file, and reads only constants of its own file. Numba keeps the machine code in
  `__pycache__` beside the source, and compiles again only if that one file changes.
* It adds floats in the order of the source. Integers may be added in any order, so long sums are sums of integers.

Kernels are written as loops: they compile faster than array expressions, whose shape checks Numba compiles too.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable)


def compiled(function: Kernel) -> Kernel:
    """Compile a function at its first call, or load what an earlier process compiled.

    Two options are left out on purpose. With `fastmath` each processor could add floats in its own order and fuse a
    product with a sum. With `parallel` the order of additions would depend on the number of threads.
    """
    kernel = njit(cache=True, nogil=True, error_model="numpy")(function)  # no check for a division by zero
    return cast(Kernel, kernel)
