from lakehouse.allocators import configure_delta_rs

configure_delta_rs()  # before any module of this package imports deltalake
