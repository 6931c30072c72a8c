"""python -m curate.cli"""

from curate.cli import main

try:
    main()
finally:
    # Where Ctrl-C came in code made from text, as imports run it, Python started by -m would end by the signal and not
    # with our exit code. It forgets that with the next such code.
    exec("")
