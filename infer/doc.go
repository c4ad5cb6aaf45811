// Package infer is the arithmetic of deblurring: pictures as padded planes, the
// noise schedule, the samplers, the refiner and the decision which frames are
// keyframes.
//
// It knows what to compute and never how a machine runs a network: there is no
// goroutine, clock, file, device or cgo in it (a test reads its sources and
// says so), its tests pass with CGO_ENABLED=0, and every result follows from
// the arguments.
package infer
