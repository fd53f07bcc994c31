# C types for reading.py.

cimport cython

from scaleout.core.frames cimport first_invalid_text, scan_run
from scaleout.core.inflate cimport Inflater
from scaleout.worker.lane cimport Lane

cdef int _COMPRESSED, _FIRST_OF_BINARY

cdef class Reader:
    cdef public long long read_at
    cdef public bint is_upgraded
    cdef public Lane lane
    cdef public Inflater inflater
    cdef public long long messages
    cdef object _library, _begin, _take_other, _deliver, _take_late
    cdef unsigned long long _limit
    cdef list _rest
    cdef Py_ssize_t _rest_size, _rest_wanted

    cpdef take(self, bytes data)
    @cython.locals(size=Py_ssize_t, wanted=Py_ssize_t, missing=Py_ssize_t)
    cdef _complete(self, bytes data)
    @cython.locals(end=Py_ssize_t, payloads=list, is_open=bint, first=int)
    cdef _take_frames(self, bytes data, Py_ssize_t position)
    cdef _hand_on(self, list payloads, object kind)
    cpdef bytes take_rest(self)
