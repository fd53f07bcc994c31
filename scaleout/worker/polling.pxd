# C types for polling.py.

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR, errno

from scaleout.worker.reading cimport Reader

cdef extern from "<sys/socket.h>":
    Py_ssize_t recv(int fd, void *room, size_t size, int flags) nogil

cdef int _READABLE

cdef class Source:
    cdef readonly int fd
    cdef readonly Reader reader
    cdef readonly object owner
    cdef readonly Py_ssize_t read_bytes

    @cython.locals(before="long long", count="long long", is_long=bint)
    cpdef take(self, bytes data)

cdef class Poller:
    cdef object _loop, _epoll, _view
    cdef dict _sources
    cdef list _ready
    cdef bytearray _room

    @cython.locals(ready=list, taken=Py_ssize_t, fd=int, event=int, source=Source, data=bytes)
    cpdef poll(self)
    @cython.locals(room="char *", size=Py_ssize_t)
    cdef bytes _read(self, int fd, Py_ssize_t most_bytes)
    cdef bytes _read_view(self, int fd, Py_ssize_t most_bytes)
