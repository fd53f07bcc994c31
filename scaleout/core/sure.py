# cython: annotation_typing=False
"""A quick look at messages that are to be JSON on one line: it is sure, or it isn't, and then a parser has to say.

What feeds send is nearly always within the part of JSON (RFC 8259) that can be told in one pass without a table of
escapes: without line breaks, nested less than 64 deep, and no `\\u` in a text. Bytes above 127 are taken for parts
of characters, as the connection has checked them.
"""

from __future__ import annotations

_SPACE, _WORD, _DIGIT, _PLAIN = 1, 2, 4, 8


def _classes() -> bytes:
    """For each byte, what it may be part of."""
    found = bytearray(256)
    for code in range(256):
        if code in b" \t":
            found[code] |= _SPACE
        if code in b"0123456789":
            found[code] |= _DIGIT
        if code >= 32 and code not in b'"\\':
            found[code] |= _PLAIN
        if code in b'"\\/bfnrt':
            found[code] |= _WORD
    return bytes(found)


_CLASSES = _classes()
_DEEPEST = 63


def is_sure(text: bytes, size: int) -> bool:
    """Whether this is a line of JSON for sure.

    Args:
        text: may go on beyond the line; a zero byte follows sooner or later, as behind all `bytes` in C.
        size: of the line.
    """
    classes = _CLASSES
    position = 0
    depth = 0
    objects = 0
    """A bit for each level: whether it is an object."""
    while True:
        # A value begins here.
        position = _skip_space(classes, text, position)
        first = text[position] if position < size else 0
        if first == 0x22:
            position = _skip_string(classes, text, position)
        elif first == 0x7B or first == 0x5B:
            position = _skip_space(classes, text, position + 1)
            if position < size and text[position] == first + 2:
                position += 1
            else:
                depth += 1
                if depth > _DEEPEST:
                    return False
                objects = objects << 1 | (first == 0x7B)
                if first == 0x7B:
                    position = _skip_key(classes, text, position, size)
                    if position < 0:
                        return False
                continue
        elif first == 0x74:
            position = _skip_word(text, position, size, b"true", 4)
        elif first == 0x66:
            position = _skip_word(text, position, size, b"false", 5)
        elif first == 0x6E:
            position = _skip_word(text, position, size, b"null", 4)
        else:
            position = _skip_number(classes, text, position, size)
        if position < 0:
            return False
        # A value has ended here, and perhaps what it was in.
        while True:
            position = _skip_space(classes, text, position)
            if not depth:
                return position == size
            after = text[position] if position < size else 0
            position += 1
            if after == 0x2C:
                if objects & 1:
                    position = _skip_key(classes, text, position, size)
                    if position < 0:
                        return False
                break
            if after != (0x7D if objects & 1 else 0x5D):
                return False
            depth -= 1
            objects >>= 1


def _skip_space(classes: bytes, text: bytes, position: int) -> int:
    while classes[text[position]] & _SPACE:
        position += 1
    return position


def _skip_string(classes: bytes, text: bytes, position: int) -> int:
    """The index behind a string whose quote is at `position`; -1: not sure."""
    position += 1
    while True:
        while classes[text[position]] & _PLAIN:
            position += 1
        if text[position] == 0x22:
            return position + 1
        if text[position] != 0x5C or not classes[text[position + 1]] & _WORD:
            return -1
        position += 2


def _skip_key(classes: bytes, text: bytes, position: int, size: int) -> int:
    """The index behind a name and its colon; -1: not sure."""
    position = _skip_space(classes, text, position)
    if position >= size or text[position] != 0x22:
        return -1
    position = _skip_string(classes, text, position)
    if position < 0:
        return -1
    position = _skip_space(classes, text, position)
    return position + 1 if position < size and text[position] == 0x3A else -1


def _skip_word(text: bytes, position: int, size: int, word: bytes, length: int) -> int:
    if position + length > size:
        return -1
    for index in range(length):
        if text[position + index] != word[index]:
            return -1
    return position + length


def _skip_number(classes: bytes, text: bytes, position: int, size: int) -> int:
    """The index behind a number; -1: not sure."""
    if text[position] == 0x2D:
        position += 1
    if text[position] == 0x30:
        position += 1
    elif classes[text[position]] & _DIGIT:
        while classes[text[position]] & _DIGIT:
            position += 1
    else:
        return -1
    if text[position] == 0x2E:
        position += 1
        if not classes[text[position]] & _DIGIT:
            return -1
        while classes[text[position]] & _DIGIT:
            position += 1
    if text[position] == 0x65 or text[position] == 0x45:
        position += 1
        if text[position] == 0x2B or text[position] == 0x2D:
            position += 1
        if not classes[text[position]] & _DIGIT:
            return -1
        while classes[text[position]] & _DIGIT:
            position += 1
    return position if position <= size else -1
