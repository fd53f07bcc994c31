# C types for skipping.py.

cimport cython

from scaleout.core.headers cimport header_size, payload_size

cdef int _LAST_OF_DATA

@cython.locals(
    octets="const unsigned char *", end=Py_ssize_t, length="unsigned long long", header=Py_ssize_t
)
cpdef Py_ssize_t skip_data(bytes data, Py_ssize_t position)
