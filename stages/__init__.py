"""DVC stages: each reads its parameters, calls the library, and writes its outputs."""

import os

# Before torch is imported, for OpenMP reads it then: threads that wait for others sleep instead of spinning. Where another
# program takes one of two cores, a training with spinning threads is ten times slower than with sleeping ones; alone, both
# are equally fast (docs/running.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
