"""The Selective Sample Buffer: settings, storage and weighted draws."""
