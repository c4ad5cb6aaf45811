// Decoding to 4:2:0 planes and encoding planes over libturbojpeg's tj* API.
#ifndef SHARPEND_JPEG_PLANES_H
#define SHARPEND_JPEG_PLANES_H

#include <stddef.h>
#include <turbojpeg.h>

// A codec is one tj handle with the scratch memory that its pictures needed so far.
typedef struct {
	tjhandle handle;
	unsigned char *scratch;
	size_t capacity;
	int width, height, subsampling, space; // of the last header read
} codec;

enum { NO_MEMORY = -2 };

codec *new_codec(int encoder);
void free_codec(codec *c);
void renew_decoder(codec *c); // tj 2.1 misreads every picture after one with a broken header

// 0, or -1 with tj's error in the handle.
int read_header(codec *c, const unsigned char *data, unsigned long size);

// Decodes a picture whose header was just read into planes that hold its visible part. ylen is what else of luma
// may be written. 0, -1 or NO_MEMORY.
int decode_planes(codec *c, const unsigned char *data, unsigned long size,
	unsigned char *y, int ystride, size_t ylen,
	unsigned char *cb, unsigned char *cr, int cstride, int flags);

// Encodes into out (at least tjBufSize long); the size, -1 or NO_MEMORY.
long encode_planes(codec *c, const unsigned char *y, int ystride,
	const unsigned char *cb, const unsigned char *cr, int cstride,
	int width, int height, int subsampling, int quality,
	unsigned char *out, unsigned long capacity);

#endif
