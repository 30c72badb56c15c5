"""Plans against fragmentation: when to look, what to read, a search in a process of its own."""
