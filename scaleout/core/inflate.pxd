# C types for inflate.py.

cimport cython

from scaleout.core.headers cimport header_size, payload_size
from scaleout.core.runs cimport Run, run_of

cdef int _COMPRESSED, _COMPRESSED_TEXT, _COMPRESSED_BINARY
cdef Py_ssize_t _COPIED_BELOW, _RUN_BYTES
cdef bytes _END

cdef class Inflater:
    cdef object _extension
    cdef unsigned long long _limit
    cdef object _max_length, _wbits
    cdef bint _begins_anew, _has_failed

    @cython.locals(
        payloads=list, payload=bytes, inflated=bytes, octets="const unsigned char *", end=Py_ssize_t, first=int, compressed=int,
        plain=int, size=Py_ssize_t, length="unsigned long long", header=Py_ssize_t, start=Py_ssize_t
    )
    cpdef Run find_run(self, bytes data, Py_ssize_t position)
    @cython.locals(is_short=bint, is_too_large=bint, inflated=bytes)
    cdef bytes _inflate(self, bytes payload, object decoder)
