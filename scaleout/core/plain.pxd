# C types for plain.py.

cimport cython

cdef class Sums:
    cdef object _cells
    cdef Py_ssize_t _size

    @cython.locals(
        count=Py_ssize_t, words="const unsigned int[::1]", slots=Py_ssize_t, step=Py_ssize_t, columns=Py_ssize_t,
        index=Py_ssize_t, at=Py_ssize_t,
        cells="long long[::1]", cell=Py_ssize_t
    )
    cpdef add(self, bytes plain, bint is_news, bint is_outcome)
    cpdef _make_room(self, Py_ssize_t slots)
