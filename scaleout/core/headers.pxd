# C types for headers.py.

cimport cython

cpdef Py_ssize_t header_size(int second) noexcept
@cython.locals(length="unsigned long long", index=Py_ssize_t)
cpdef unsigned long long payload_size(const unsigned char *octets, Py_ssize_t position, Py_ssize_t header) noexcept
