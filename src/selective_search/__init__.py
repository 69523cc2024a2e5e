"""Selective search (Uijlings et al. 2013, IJCV 104), in kernels that Numba compiles."""
