#!/bin/bash
# foreground.sh COMMAND...: runs a command so that at a terminal Ctrl-C reaches it alone, and make,
# which would end with an error of its own, sees the command's exit status.
if [ -t 0 ]; then
	set -m # job control: the command gets a process group of its own, and the terminal
	"$@"
else
	exec "$@"
fi
