# C types for reading.py.

cimport cython

from scaleout.core.inflate cimport Inflater
from scaleout.core.runs cimport Run, find_run
from scaleout.core.skipping cimport skip_data
from scaleout.worker.lane cimport Lane

cdef int _COMPRESSED, _FIRST_OF_BINARY

cdef class Reader:
    cdef public long long read_at
    cdef public bint is_upgraded, is_discarding
    cdef public Lane lane
    cdef public Inflater inflater
    cdef public long long messages
    cdef object _library, _begin, _take_other, _deliver, _take_late, _answer, _breathe
    cdef unsigned long long _limit
    cdef list _rest
    cdef Py_ssize_t _rest_size, _rest_wanted, _to_skip

    cpdef take(self, bytes data)
    @cython.locals(size=Py_ssize_t, wanted=Py_ssize_t, missing=Py_ssize_t)
    cdef _complete(self, bytes data)
    cdef _go_on(self, bytes data, Py_ssize_t position)
    @cython.locals(end=Py_ssize_t, stop=Py_ssize_t, run=Run, is_open=bint, first=int)
    cdef _take_frames(self, bytes data, Py_ssize_t position)
    @cython.locals(length="unsigned long long", stop=Py_ssize_t)
    cdef Py_ssize_t _take_ping(self, bytes data, Py_ssize_t position, Py_ssize_t end) except -1
    cdef _hand_on(self, Run run, object kind)
    @cython.locals(size=Py_ssize_t)
    cdef _discard_read(self, bytes data)
    @cython.locals(end=Py_ssize_t)
    cdef _discard(self, bytes data, Py_ssize_t position)
    cpdef bytes take_rest(self)
