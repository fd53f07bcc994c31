# C types for encoding.py.

cimport cython

@cython.locals(each=list, parts=list, position=Py_ssize_t, index=Py_ssize_t, prefix=bytes, stop=Py_ssize_t)
cpdef bytes wrap_each(bytes lines, list heads, list times, list counts)
