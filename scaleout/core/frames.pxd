# C types for frames.py.

cimport cython

cdef int _TEXT
cdef int _BINARY

@cython.locals(
    payloads=list, octets="const unsigned char *", end=Py_ssize_t, first=int, patience=Py_ssize_t,
    short_from=Py_ssize_t, before=Py_ssize_t, length="unsigned long long", start="unsigned long long", index=Py_ssize_t
)
cpdef tuple scan_run(bytes data, Py_ssize_t position, unsigned long long limit)

cpdef object first_invalid_text(list payloads)

@cython.locals(payload=bytes)
cpdef bint are_ascii(list payloads)

@cython.locals(seen="unsigned char", index=Py_ssize_t)
cdef bint _is_ascii(const unsigned char *octets, Py_ssize_t size)

@cython.locals(size=Py_ssize_t, payload=bytes)
cpdef Py_ssize_t size_of(list payloads)
