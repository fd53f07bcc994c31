# C types for runs.py.

cimport cython
from libc.string cimport memcpy

from scaleout.core.frames cimport first_invalid_text, size_of
from scaleout.core.headers cimport header_size, payload_size
from scaleout.core.sure cimport is_sure

cdef int _TEXT
cdef int _BINARY

# Its objects never refer to each other: the collector needn't look at them.
@cython.final
@cython.no_gc
cdef class Run:
    cdef public Py_ssize_t count, size_bytes, stop
    cdef Py_ssize_t _start, _next
    cdef bytes _data
    cdef list _payloads
    cdef const unsigned char *text
    cdef Py_ssize_t length

    @cython.locals(payloads=list)
    cpdef list payloads(self)
    cdef void rewind(self) noexcept
    @cython.locals(position=Py_ssize_t, payload=bytes, octets="const unsigned char *", header=Py_ssize_t)
    cdef bint advance(self) noexcept
    cpdef bint is_text(self)
    @cython.locals(seen="unsigned char", octets="const unsigned char *", length=Py_ssize_t, index=Py_ssize_t)
    cdef bint _is_ascii(self) noexcept
    @cython.locals(sure=Py_ssize_t)
    cpdef Py_ssize_t count_sure(self)
    @cython.locals(
        room="unsigned char *", first="const unsigned char *", last="const unsigned char *",
        first_size=Py_ssize_t, last_size=Py_ssize_t
    )
    cpdef Py_ssize_t write_lines(self, bytearray target, Py_ssize_t at, bytes head, bytes end)

@cython.locals(run=Run)
cpdef Run run_of(list payloads, Py_ssize_t stop=*)

@cython.locals(
    run=Run, octets="const unsigned char *", end=Py_ssize_t, start=Py_ssize_t, first=int, count=Py_ssize_t,
    size_bytes=Py_ssize_t, header=Py_ssize_t, length="unsigned long long"
)
cpdef Run find_run(bytes data, Py_ssize_t position, unsigned long long limit)
