"""What all tests need."""

import signal

# A shell without job control starts background jobs with Ctrl-C ignored, and children inherit that; the tests of Ctrl-C
# then wait in vain.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
