"""DVC stages: each reads its parameters, calls the library, and writes its outputs."""

from stages.arithmetic import pin

pin()  # here, because it must come before the first import of torch or NumPy in any stage
