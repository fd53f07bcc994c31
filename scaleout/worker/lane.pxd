# C types for lane.py.

cimport cython

from scaleout.core.runs cimport Run
from scaleout.worker.tray cimport Tray

# It never lasts: the collector needn't look at it.
@cython.final
@cython.no_gc
cdef class Portion:
    cdef public Lane lane
    cdef public Run run
    cdef public long long received_at

    cpdef bytes head(self)

@cython.locals(payloads=list, portion=Portion)
cpdef list payloads_of(list portions)

@cython.locals(opened=list, index=Py_ssize_t, portion=Portion, count=Py_ssize_t, tray=Tray)
cpdef list settle(list portions, list results)

cdef class Lane:
    cdef public object inlet, books
    cdef public Tray tray
    cdef public bytes head
    cdef public Py_ssize_t waiting
    cdef public bint is_alone
    cdef Pool _pool
    cdef Py_ssize_t _slot
    cdef unsigned long long[::1] _messages, _bytes, _cpu_ns

    cpdef take(self, Run run, object kind, long long received_at)
    cdef _take_long_way(self, Run run, object kind, long long received_at)
    cpdef note_cpu(self, long long nanoseconds)
    cpdef settle(self)

cdef class Pool:
    cdef public bint is_off
    cdef object _work, _clock, _on_flush, _kind, _timer
    cdef double _linger_s, _on_again_at, _due_at
    cdef list _portions
    cdef Py_ssize_t _count, _size, _until_timed, _slow_flushes

    cpdef expect(self, object kind)
    @cython.locals(portion=Portion)
    cpdef add(self, Lane lane, Run run, long long received_at)
    cpdef flush(self)
    cpdef _end_linger(self)
    @cython.locals(portions=list, portion=Portion, count=Py_ssize_t, began_ns="long long")
    cdef _flush(self, double patience_s)
    @cython.locals(since="long long", each_ns="long long", portion=Portion)
    cdef _note_cpu(self, list portions, Py_ssize_t count, long long used_ns)
    cpdef look(self)
