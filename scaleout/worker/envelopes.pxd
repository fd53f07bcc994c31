# C types for envelopes.py.

cimport cython
from libc.string cimport memchr, memcpy

from scaleout.worker.lane cimport Portion, payloads_of

cdef int _NEWLINE, _BRACE

@cython.locals(
    heads=list, size_bytes=Py_ssize_t, index=Py_ssize_t, portion=Portion, head=bytes, count=Py_ssize_t,
    wrapped=bytearray, source="const unsigned char *", target="unsigned char *", position=Py_ssize_t, end=Py_ssize_t,
    at=Py_ssize_t, first="const unsigned char *", first_size=Py_ssize_t, found="const unsigned char *", length=Py_ssize_t
)
cpdef object wrap(list portions, list results, bytes lines)

@cython.locals(
    each=list, parts=list, position=Py_ssize_t, index=Py_ssize_t, portion=Portion, prefix=bytes, stop=Py_ssize_t
)
cdef object _wrap_split(list portions, list results, bytes lines)

@cython.locals(
    heads=list, size_bytes=Py_ssize_t, portion=Portion, head=bytes, lines=bytearray, end=bytes, at=Py_ssize_t,
    index=Py_ssize_t
)
cpdef list pass_on(list portions, bint envelope)
