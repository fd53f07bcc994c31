# C types for tray.py.

cimport cython

cdef long long _LARGEST_WORD

@cython.final
cdef class Tray:
    cdef public unsigned int slot
    cdef public long long received, delivered, filtered, dead_lettered, dropped, duplicates, results, bytes
    cdef public long long retried, gaps, missed, repeats, backwards, uncertain
    cdef public object cursor, numbers, tails
    cdef public bint is_open

    cpdef note(self, long long messages, long long size_bytes)
    cpdef settle(self, long long messages, long long results)
    cpdef bint is_plain(self)
    cpdef empty(self)

@cython.locals(plain=list, others=list, words="unsigned int[::1]", at=Py_ssize_t, tray=Tray)
cpdef tuple take_all(list trays)

@cython.locals(found=list, tray=Tray)
cpdef list with_marks(list trays)
