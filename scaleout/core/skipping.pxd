# C types for skipping.py.

cimport cython

cdef int _LAST_OF_DATA

@cython.locals(
    octets="const unsigned char *", end=Py_ssize_t, length="unsigned long long", start=Py_ssize_t, index=Py_ssize_t
)
cpdef Py_ssize_t skip_data(bytes data, Py_ssize_t position)
