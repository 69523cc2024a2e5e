"""DVC stages: each reads its parameters, calls the library, and writes its outputs."""
