// Package foreign behaves as badly towards the process's signals as CUDA does,
// for the tests of package tensorrt.
package foreign

/*
#include <signal.h>

static void nothing(int s) { (void)s; }

static int take(int s) {
	struct sigaction a = {0};
	a.sa_handler = nothing; // no SA_ONSTACK: Go crashes when such a handler meets one of its threads
	return sigaction(s, &a, 0);
}

static int takes(int s) {
	struct sigaction a;
	return sigaction(s, 0, &a) == 0 && a.sa_handler == nothing;
}
*/
import "C"

import (
	"fmt"
	"syscall"
)

// Take replaces the handler of a signal through C.
func Take(s syscall.Signal) error {
	if C.take(C.int(s)) != 0 {
		return fmt.Errorf("sigaction refused signal %d", s)
	}
	return nil
}

// Has says whether a signal still has Take's handler.
func Has(s syscall.Signal) bool { return C.takes(C.int(s)) != 0 }
