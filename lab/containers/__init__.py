"""Container images under their upstream names, made from distribution packages, for where no registry answers."""
