// The C limit: what a program cannot do without, written as plainly as C allows. Per frame it
// decodes MJPEG to RGB with libjpeg-turbo, copies, encodes with quality 85 (4:2:0) and publishes
// to an MQTT broker on loopback (QoS 0), on one thread.
//
//   loop FILE PORT FRAMES [fast]   FILE: JPEGs one after another, played round and round; fast: fast DCT
//   loop clip FILE FRAMES          makes such a file: 1280x720, 4:2:2
//
// cc -O3 loop.c clip.c -lturbojpeg -lm
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <turbojpeg.h>
#include <unistd.h>

int make_clip(const char *path, int frames);

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static uint8_t *read_file(const char *path, size_t *size) {
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END)) fail(path);
	*size = ftell(f);
	rewind(f);
	uint8_t *data = malloc(*size);
	if (!data || fread(data, 1, *size, f) != *size) fail(path);
	fclose(f);
	return data;
}

// Where each JPEG begins, and after the last one the end: EOI and SOI side by side separate two.
static size_t *split(const uint8_t *data, size_t size, int *count) {
	size_t *start = malloc((size / 100 + 2) * sizeof *start);
	*count = 0;
	start[(*count)++] = 0;
	for (size_t i = 2; i + 1 < size; i++)
		if (data[i - 2] == 0xff && data[i - 1] == 0xd9 && data[i] == 0xff && data[i + 1] == 0xd8) start[(*count)++] = i;
	start[*count] = size;
	return start;
}

static void write_all(int fd, struct iovec *part, int parts) {
	while (parts > 0) {
		ssize_t n = writev(fd, part, parts);
		if (n < 0) fail("write");
		for (; parts > 0 && (size_t)n >= part->iov_len; part++, parts--) n -= part->iov_len;
		if (parts > 0) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= n;
		}
	}
}

static int broker(int port) {
	static char connect_packet[] = "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04loop";
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
	struct iovec part = {connect_packet, sizeof connect_packet - 1};
	write_all(fd, &part, 1);
	uint8_t answer[4];
	if (recv(fd, answer, 4, MSG_WAITALL) != 4 || answer[0] != 0x20 || answer[3] != 0) fail("the broker's answer");
	return fd;
}

static void publish(int fd, uint8_t *payload, size_t size) {
	static const char topic[] = "bench/c/frame";
	uint8_t head[8];
	size_t n = 0, length = 2 + sizeof topic - 1 + size;
	head[n++] = 0x30;
	do {
		head[n++] = (length & 127) | (length > 127 ? 128 : 0);
		length >>= 7;
	} while (length);
	head[n++] = 0;
	head[n++] = sizeof topic - 1;
	struct iovec parts[] = {{head, n}, {(char *)topic, sizeof topic - 1}, {payload, size}};
	write_all(fd, parts, 3);
}

static double milliseconds(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
	if (argc == 4 && !strcmp(argv[1], "clip")) return make_clip(argv[2], atoi(argv[3]));
	if (argc < 4) return fprintf(stderr, "loop FILE PORT FRAMES [fast] | loop clip FILE FRAMES\n"), 2;
	size_t size;
	uint8_t *data = read_file(argv[1], &size);
	int count, frames = atoi(argv[3]), flags = argc > 4 ? TJFLAG_FASTDCT : 0;
	size_t *start = split(data, size, &count);
	int fd = broker(atoi(argv[2]));

	tjhandle decoder = tjInitDecompress(), encoder = tjInitCompress();
	int width, height, subsampling, space;
	if (tjDecompressHeader3(decoder, data, start[1], &width, &height, &subsampling, &space)) fail("header");
	uint8_t *camera = malloc(width * height * 3), *sharp = malloc(width * height * 3);
	unsigned long room = tjBufSize(width, height, TJSAMP_420), length;
	uint8_t *out = tjAlloc(room);

	double cpu = milliseconds(CLOCK_PROCESS_CPUTIME_ID), wall = milliseconds(CLOCK_MONOTONIC);
	for (int i = 0; i < frames; i++) {
		int k = i % count;
		if (tjDecompress2(decoder, data + start[k], start[k + 1] - start[k], camera, width, 0, height, TJPF_RGB, flags)) fail("decode");
		memcpy(sharp, camera, width * height * 3);
		length = room;
		if (tjCompress2(encoder, sharp, width, 0, height, TJPF_RGB, &out, &length, TJSAMP_420, 85, flags | TJFLAG_NOREALLOC)) fail("encode");
		publish(fd, out, length);
	}
	cpu = milliseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = milliseconds(CLOCK_MONOTONIC) - wall;
	printf("{\"frames\": %d, \"cpu_ms\": %.4f, \"wall_ms\": %.4f, \"subsampling\": \"%s\"}\n", frames, cpu / frames, wall / frames,
		subsampling == TJSAMP_422 ? "4:2:2" : "other");
	return 0;
}
