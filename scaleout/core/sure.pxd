# C types for sure.py.

cimport cython

cdef bytes _CLASSES
cdef int _SPACE, _WORD, _DIGIT, _PLAIN, _DEEPEST

@cython.locals(
    classes="const unsigned char *", position=Py_ssize_t, depth=int, objects="unsigned long long", first=int, after=int
)
cpdef bint is_sure(const unsigned char *text, Py_ssize_t size)

cdef Py_ssize_t _skip_space(const unsigned char *classes, const unsigned char *text, Py_ssize_t position) noexcept
cdef Py_ssize_t _skip_string(const unsigned char *classes, const unsigned char *text, Py_ssize_t position) noexcept
cdef Py_ssize_t _skip_key(
    const unsigned char *classes, const unsigned char *text, Py_ssize_t position, Py_ssize_t size
) noexcept
@cython.locals(index=Py_ssize_t)
cdef Py_ssize_t _skip_word(
    const unsigned char *text, Py_ssize_t position, Py_ssize_t size, const unsigned char *word, Py_ssize_t length
) noexcept
cdef Py_ssize_t _skip_number(
    const unsigned char *classes, const unsigned char *text, Py_ssize_t position, Py_ssize_t size
) noexcept
