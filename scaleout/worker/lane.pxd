# C types for lane.py.

cimport cython

from scaleout.core.frames cimport size_of
from scaleout.worker.tray cimport Tray

cdef class Portion:
    cdef public Lane lane
    cdef public list payloads
    cdef public long long received_at

cdef class Lane:
    cdef public object inlet, books
    cdef public Tray tray
    cdef public Py_ssize_t waiting
    cdef public bint is_alone
    cdef Pool _pool
    cdef Py_ssize_t _slot
    cdef unsigned long long[::1] _messages, _bytes, _cpu_ns

    @cython.locals(count=Py_ssize_t, size_bytes=Py_ssize_t)
    cpdef take(self, list payloads, object kind, long long received_at)
    cdef _take_long_way(self, list payloads, object kind, long long received_at)
    cpdef note_cpu(self, long long nanoseconds)
    cpdef settle(self)

cdef class Pool:
    cdef public bint is_off
    cdef object _work, _clock, _kind, _timer
    cdef double _linger_s, _on_again_at
    cdef list _portions
    cdef Py_ssize_t _count, _size, _until_timed

    cpdef expect(self, object kind)
    cpdef add(self, Lane lane, list payloads, long long received_at, Py_ssize_t size_bytes)
    @cython.locals(portions=list, portion=Portion, count=Py_ssize_t, began_ns="long long")
    cpdef flush(self)
    @cython.locals(since="long long", each_ns="long long", portion=Portion)
    cdef _note_cpu(self, list portions, Py_ssize_t count, long long used_ns)
    cpdef look(self)
