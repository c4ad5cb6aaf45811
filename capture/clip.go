package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"time"

	"sharpend/jpeg"
)

// clip is a file or folder of pictures, found one after the other.
type clip struct {
	pixel  string                                    // the format's name for Granted
	fps    float64                                   // as the file says; 0 = it does not
	next   func() (span, error)                      // the next picture; io.EOF, errNoPicture, *Damage (go on) or a reading error
	load   func(at span, buf []byte) ([]byte, error) // its bytes, in buf's memory where they fit
	rewind func()
	close  func() error
}

// span is where a picture's bytes are in a file; in a folder, offset is the picture's number.
type span struct{ offset, size int64 }

// errNoPicture is a place in time without a picture: a frame that was dropped while recording.
var errNoPicture = errors.New("no picture")

const (
	defaultRate = 25       // frames a second, for files that do not say
	maxPicture  = 64 << 20 // bytes; more is a damaged length
	searched    = 1000     // places looked at for the first picture
	maxSide     = 16384    // pixels, as for camera.width
)

// openFile opens c.Path: a folder of pictures, an AVI or a stream of JPEGs, told apart by their content.
func openFile(ctx context.Context, c Config) (*Camera, error) {
	film, err := openClip(c.Path)
	if err != nil {
		return nil, fmt.Errorf("camera.path: %w", err)
	}
	p, err := newPlayer(ctx, film, c)
	if err != nil {
		film.close()
		return nil, fmt.Errorf("camera.path: %s: %w", c.Path, err)
	}
	camera := &Camera{
		Name: c.Path, Config: c, Asked: Format{c.Format, c.Width, c.Height, c.FPS},
		Granted:  Format{film.pixel, p.width, p.height, p.pace.fps},
		Lossless: c.AsFastAsPossible, read: p.read, close: p.close,
	}
	if film.fps == 0 && c.FPS == 0 {
		camera.Notes = append(camera.Notes, fmt.Sprintf("%s does not say its rate: played at %d frames a second (camera.fps)", c.Path, defaultRate))
	}
	if c.Width != 0 && (c.Width != p.width || c.Height != p.height) {
		camera.Notes = append(camera.Notes, fmt.Sprintf("the pictures are %dx%d: camera.width and height do not change them", p.width, p.height))
	}
	return camera, nil
}

func openClip(path string) (*clip, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(path)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is neither a file nor a folder", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	film, err := newClip(file, info.Size(), path)
	if err != nil {
		file.Close()
		return nil, err
	}
	film.close = file.Close
	return film, nil
}

// newClip tells an AVI from a JPEG stream by their first bytes.
func newClip(r io.ReaderAt, size int64, path string) (*clip, error) {
	var head [12]byte
	n, err := r.ReadAt(head[:], 0)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case n == 12 && string(head[:4]) == "RIFF" && string(head[8:]) == "AVI ":
		return newAVI(r, size, path)
	case n > 2 && head[0] == 0xff && head[1] == 0xd8, bytes.HasPrefix(head[:], []byte("--")): // a saved multipart stream
		return newStream(r, path), nil
	}
	return nil, fmt.Errorf("%s: neither an AVI nor a JPEG stream: it begins with %q", path, head[:n])
}

// loadFrom reads a span of a file.
func loadFrom(r io.ReaderAt, path string) func(span, []byte) ([]byte, error) {
	return func(at span, buf []byte) ([]byte, error) {
		buf = sized(buf, int(at.size))
		if n, err := r.ReadAt(buf, at.offset); n < len(buf) {
			return buf[:0], fmt.Errorf("%s: offset %d: %w", path, at.offset, err)
		}
		return buf, nil
	}
}

// sized is buf at another length, with room to spare where it must be replaced.
func sized(buf []byte, n int) []byte {
	if cap(buf) < n {
		buf = make([]byte, n+n/2)
	}
	return buf[:n]
}

// player reads a clip like a camera: at its rate, the newest picture first when the reader is late.
type player struct {
	*clip
	pace          pace
	loop          bool
	width, height int
	decoder       *jpeg.Decoder
	buf           []byte
	place         uint64 // number of the next place in time
	ended         bool
}

func newPlayer(ctx context.Context, film *clip, c Config) (*player, error) {
	decoder, err := newDecoder()
	if err != nil {
		return nil, err
	}
	p := &player{clip: film, loop: c.Loop, decoder: decoder}
	p.pace = newPace(c.AsFastAsPossible, c.FPS, film.fps, defaultRate)
	if err := p.findSize(ctx); err != nil {
		decoder.Close()
		return nil, err
	}
	p.rewind()
	return p, nil
}

// findSize takes the size of the first picture with a sound header.
func (p *player) findSize(ctx context.Context) error {
	first := errors.New("it holds no picture")
	for n := 0; n < searched && ctx.Err() == nil; n++ {
		err := p.measure()
		switch {
		case err == nil:
			return nil
		case err == io.EOF:
			return first
		case n == 0 && err != errNoPicture:
			first = fmt.Errorf("no sound picture: %w", err)
		}
	}
	return errors.Join(first, ctx.Err())
}

// measure reads the next picture's header.
func (p *player) measure() error {
	at, err := p.next()
	if err != nil {
		return err
	}
	if p.buf, err = p.load(at, p.buf); err != nil {
		return fmt.Errorf("offset %d: %v", at.offset, err) // io.EOF here is no end
	}
	p.width, p.height, err = pictureSize(p.decoder, p.buf)
	if err == nil && max(p.width, p.height) > maxSide {
		err = fmt.Errorf("%dx%d is more than %d pixels a side", p.width, p.height, maxSide)
	}
	return err
}

func (p *player) close() error {
	p.decoder.Close()
	return p.clip.close()
}

func (p *player) read(ctx context.Context, f *Frame) error {
	for {
		if err := p.pace.wait(ctx, p.place); err != nil {
			return err
		}
		at, err := p.newest(f)
		if err == errNoPicture {
			continue
		}
		if err != nil {
			return err
		}
		f.Time = p.pace.due(f.Sequence)
		return p.picture(f, at)
	}
}

// newest goes on to the newest picture that is due and counts those passed over.
func (p *player) newest(f *Frame) (at span, err error) {
	have, last := false, p.pace.newest(p.place)
	f.Skipped = 0
	for ; p.place <= last && !p.ended; p.place++ {
		found, err := p.step()
		switch {
		case err == nil:
			if have {
				f.Skipped++
			}
			at, have, f.Sequence = found, true, p.place
		case err == io.EOF:
			p.ended = true
		case err != errNoPicture && !have:
			f.Sequence = p.place
			p.place++
			return span{}, err
		}
	}
	switch {
	case have:
		return at, nil
	case p.ended:
		return span{}, io.EOF
	}
	return span{}, errNoPicture
}

// step is the clip's next picture, from the start again after the end of a loop.
func (p *player) step() (span, error) {
	at, err := p.next()
	if err == io.EOF && p.loop {
		p.rewind()
		at, err = p.next()
	}
	return at, err
}

func (p *player) picture(f *Frame, at span) (err error) {
	if p.buf, err = p.load(at, p.buf); err != nil {
		return &Damage{Truncated, err}
	}
	start := time.Now()
	err = decodePicture(p.decoder, p.buf, f.Image)
	f.Decode = time.Since(start)
	return err
}

// decodePicture decodes a JPEG or a PNG; only the latter, and JPEGs in foreign colours, take memory.
func decodePicture(d *jpeg.Decoder, data []byte, dst *image.YCbCr) error {
	if len(data) == 0 {
		return damaged(Empty, "a picture of 0 bytes")
	}
	if bytes.HasPrefix(data, []byte("\x89PNG")) {
		return decodeOther(data, dst)
	}
	if damage := inspectJPEG(data, false); damage != nil {
		return damage
	}
	err := decodeJPEG(d, data, dst)
	if errors.Is(err, jpeg.ErrUnsupported) {
		return decodeOther(data, dst)
	}
	return err
}
