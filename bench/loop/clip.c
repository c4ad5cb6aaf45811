// A clip such as a webcam sends: 1280x720, MJPEG 4:2:2. The scene is fractal noise, whose
// spectrum is that of photographs, with sharp bars across it and sensor noise over it; it pans.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

enum { WIDTH = 1280, HEIGHT = 720, DISTINCT = 30, PAN = 7, SCENE = WIDTH + DISTINCT * PAN };

static uint32_t state = 1;

static float uniform(void) { // xorshift32, 0 to 1
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state / 4294967296.f;
}

// Adds noise of one wavelength in pixels, interpolated smoothly between lattice points.
static void octave(float *plane, int wavelength, float amplitude) {
	int columns = SCENE / wavelength + 2, rows = HEIGHT / wavelength + 2;
	float *lattice = malloc(columns * rows * sizeof *lattice);
	for (int i = 0; i < columns * rows; i++) lattice[i] = (uniform() - .5f) * 2 * amplitude;
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < SCENE; x++) {
			float u = (float)(x % wavelength) / wavelength, v = (float)(y % wavelength) / wavelength;
			float *p = lattice + y / wavelength * columns + x / wavelength;
			u *= u * (3 - 2 * u), v *= v * (3 - 2 * v);
			plane[y * SCENE + x] += (p[0] * (1 - u) + p[1] * u) * (1 - v) + (p[columns] * (1 - u) + p[columns + 1] * u) * v;
		}
	free(lattice);
}

static void draw(float *plane, float level, float contrast) {
	for (int i = 0; i < SCENE * HEIGHT; i++) plane[i] = level;
	for (int wavelength = 256; wavelength >= 2; wavelength /= 2) octave(plane, wavelength, contrast * wavelength / 256 + .8f);
	for (int bar = 0; bar < 40; bar++) {
		int x0 = uniform() * (SCENE - 80), y0 = uniform() * (HEIGHT - 80);
		float change = (uniform() - .5f) * 2 * contrast;
		for (int y = y0; y < y0 + 60; y++)
			for (int x = x0; x < x0 + 70; x++) plane[y * SCENE + x] += change;
	}
}

static uint8_t level(float v) { return v < 0 ? 0 : v > 255 ? 255 : v + .5f; }

static void take(const float *plane, int shift, uint8_t *out, int step, float noise) {
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x += step)
			*out++ = level(plane[y * SCENE + x + shift] + (uniform() + uniform() + uniform() - 1.5f) * 2 * noise);
}

int make_clip(const char *path, int frames) {
	float *plane[3];
	static uint8_t yuv[WIDTH * HEIGHT * 2];
	uint8_t *jpeg[DISTINCT];
	unsigned long size[DISTINCT];
	for (int c = 0; c < 3; c++) {
		plane[c] = malloc(SCENE * HEIGHT * sizeof(float));
		draw(plane[c], c ? 128 : 120, c ? 25 : 60);
	}
	tjhandle encoder = tjInitCompress();
	for (int i = 0; i < DISTINCT; i++) {
		take(plane[0], i * PAN, yuv, 1, 1.5f);
		take(plane[1], i * PAN, yuv + WIDTH * HEIGHT, 2, .5f);
		take(plane[2], i * PAN, yuv + WIDTH * HEIGHT * 3 / 2, 2, .5f);
		jpeg[i] = NULL;
		if (tjCompressFromYUV(encoder, yuv, WIDTH, 1, HEIGHT, TJSAMP_422, &jpeg[i], &size[i], 85, 0)) return 1;
	}
	FILE *f = fopen(path, "wb");
	if (!f) return perror(path), 1;
	for (int i = 0; i < frames; i++) fwrite(jpeg[i % DISTINCT], 1, size[i % DISTINCT], f);
	return fclose(f) != 0;
}
