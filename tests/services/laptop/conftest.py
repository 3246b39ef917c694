from tests.unit.laptop.conftest import machine, no_ports_from_the_shell

__all__ = ["machine", "no_ports_from_the_shell"]
