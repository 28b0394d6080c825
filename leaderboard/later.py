"""Owns Later: a field of a dataclass whose value may be worked out when it is first looked at."""


class Later:
    """`field: kind = Later()` in a dataclass (frozen too) takes a value or a function of nothing that gives it;
    `Later(default)` gives the field a default.

    The function is called at the first look and then forgotten; comparing, replacing and `asdict` see its value. Two
    threads that look at once may both call it, so it must give equal values.
    """

    def __init__(self, *default):
        self._default = default

    def __set_name__(self, owner, name):
        self._name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            if not self._default:
                raise AttributeError(self._name)  # so that dataclasses sees no default
            return self._default[0]
        value = instance.__dict__[self._name]
        if callable(value):
            value = instance.__dict__[self._name] = value()
        return value

    def __set__(self, instance, value):
        instance.__dict__[self._name] = value
