package tensorrt

/*
#include <malloc.h>

static void trim(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

// trimHeap gives back what loading a model left free in the C heap: more than
// twice the file's size, which glibc would keep.
func trimHeap() { C.trim() }
