# C types for frames.py.

cimport cython

cpdef object first_invalid_text(list payloads)

@cython.locals(payload=bytes)
cpdef bint are_ascii(list payloads)

@cython.locals(seen="unsigned char", index=Py_ssize_t)
cdef bint _is_ascii(const unsigned char *octets, Py_ssize_t size)

@cython.locals(size=Py_ssize_t, payload=bytes)
cpdef Py_ssize_t size_of(list payloads)
