package tensorrt

import (
	"sync"
	"syscall"
	"unsafe"
)

// CUDA and TensorRT put their own signal handlers in place of Go's, without
// SA_ONSTACK: the next Ctrl-C or SIGTERM then crashes the Go runtime.

// action is the kernel's struct sigaction on 64-bit Linux: handler, flags, restorer, mask.
type action [4]uint64

const (
	lastSignal  = 64
	maskSize    = 8
	handlerPart = 0
)

var keeping sync.Mutex

// KeepSignals runs call and puts back every signal handler that it replaced.
// Handlers that Go itself sets meanwhile (signal.Notify in another goroutine)
// stay. Calls exclude each other, or one would save what the other's left behind.
func KeepSignals(call func()) {
	keeping.Lock()
	defer keeping.Unlock()
	var saved [lastSignal + 1]action
	for s := 1; s <= lastSignal; s++ {
		saved[s], _ = signalAction(s)
	}
	defer restoreSignals(&saved)
	call()
}

func restoreSignals(saved *[lastSignal + 1]action) {
	// Go's preemption signal always has Go's handler, and Go has but one for all signals.
	gos := saved[syscall.SIGURG][handlerPart]
	for s := 1; s <= lastSignal; s++ {
		now, ok := signalAction(s)
		if ok && now != saved[s] && now[handlerPart] != gos {
			setSignalAction(s, &saved[s])
		}
	}
}

// signalAction asks the kernel: libc would hide the signals it keeps for itself.
func signalAction(signal int) (a action, ok bool) {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(signal), 0, uintptr(unsafe.Pointer(&a)), maskSize, 0, 0)
	return a, errno == 0
}

func setSignalAction(signal int, a *action) {
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(a)), 0, maskSize, 0, 0)
}
