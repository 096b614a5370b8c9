"""The only I/O of controller and gateway: each adapter implements one port."""
