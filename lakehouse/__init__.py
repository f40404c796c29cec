from lakehouse.allocators import configure

configure()  # before any module of this package loads what it configures
