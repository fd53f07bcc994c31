# C types for encoding.py.

cimport cython

@cython.locals(found=set)
cpdef set types_of(object results)
