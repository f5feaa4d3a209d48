"""evalscope, driven from outside: its task, its process, the texts it asks with."""
