"""The decorator of all kernels: Numba compiles them so that every processor computes the same bytes.

Two rules for a kernel:

* It calls only kernels of its own file, and reads only constants of its own file. Numba keeps the machine code in
  `__pycache__` beside the source, and compiles it anew when that one file changes.
* It adds floats in the order of the source. Integers may be added in any order, so long sums are sums of integers.

Loops compile faster than array expressions, whose errors about shapes are compiled with them.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable)


def compiled(function: Kernel) -> Kernel:
    """Compile a function at its first call, or load what an earlier process compiled.

    The options that are left out matter: `fastmath` would let each processor add floats in its own order and fuse a
    product with a sum, and `parallel` would let the number of threads choose the order.
    """
    kernel = njit(cache=True, nogil=True, error_model="numpy")(function)  # numpy: no check for a division by zero
    return cast(Kernel, kernel)
