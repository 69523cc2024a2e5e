"""DVC stages: each reads its parameters, calls the library, and writes its outputs."""

import os

# Before torch is imported, for OpenMP reads it then: threads that wait for others sleep instead of spinning. A step of
# SSD on two cores takes 5 % longer so (0.073 for 0.070 s), and 0.16 for 0.43 s where another program has one of them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
