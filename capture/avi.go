package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// avi walks the chunks of a RIFF AVI file (Microsoft's AVI RIFF File Reference, and OpenDML 1.02 for files of
// several RIFF parts). It goes by the chunks themselves and by no index, so that a recording that was cut off plays
// up to where it ends; lists are simply entered, so that their lengths, which such recordings get wrong, don't matter.
type avi struct {
	r     io.ReaderAt
	size  int64
	path  string
	at    int64    // the next chunk
	movie int64    // the first chunk behind the headers
	tag   string   // of the picture chunks, such as "00" of 00dc
	head  [12]byte // of the current chunk
	done  bool
}

// chunk is a header of the file: a name, for lists their type, and where the content lies.
type chunk struct {
	id, list [4]byte
	span     // of the content, without a list's type
}

var errNoChunk = errors.New("no chunk")

func newAVI(r io.ReaderAt, size int64, path string) (*clip, error) {
	a := &avi{r: r, size: size, path: path}
	fps, err := a.headers()
	if err != nil {
		return nil, err
	}
	return &clip{pixel: "MJPG", fps: fps, next: a.next, load: loadFrom(r, path), rewind: a.rewind, close: func() error { return nil }}, nil
}

func (a *avi) rewind() { a.at, a.done = a.movie, false }

func (a *avi) fault(at int64, format string, args ...any) error {
	return fmt.Errorf("%s: offset %d: %w", a.path, at, fmt.Errorf(format, args...))
}

// chunk reads the header at a.at and moves on: into a list that may hold pictures or stream headers, else behind it.
func (a *avi) chunk() (c chunk, err error) {
	if a.at+8 > a.size {
		return c, io.EOF
	}
	n, err := a.r.ReadAt(a.head[:], a.at)
	if n < 8 {
		return c, a.fault(a.at, "%w", err)
	}
	copy(c.id[:], a.head[:4])
	c.span = span{a.at + 8, int64(binary.LittleEndian.Uint32(a.head[4:]))}
	if c.id == [4]byte{} {
		return c, io.EOF // room that was reserved and never written
	}
	if !printable(c.id) {
		return c, a.fault(a.at, "%w but %q", errNoChunk, string(c.id[:]))
	}
	isList := string(c.id[:]) == "RIFF" || string(c.id[:]) == "LIST"
	if isList && n == 12 {
		copy(c.list[:], a.head[8:])
		c.span = span{c.offset + 4, max(c.size-4, 0)}
	}
	switch string(c.list[:]) {
	case "AVI ", "AVIX", "hdrl", "strl", "movi", "rec ":
		a.at = c.offset
	default:
		a.at = c.offset + c.size + c.size&1
	}
	return c, nil
}

func printable(id [4]byte) bool {
	for _, b := range id {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// headers reads up to the movie: the rate, and which stream has the pictures.
func (a *avi) headers() (fps float64, err error) {
	var frame, rate float64 // frames a second by the file's and by the stream's header
	stream, kind, codec := -1, "", ""
	for {
		c, err := a.chunk()
		if err == io.EOF {
			return 0, a.fault(a.at, "the file ends before its pictures")
		}
		if err != nil {
			return 0, err
		}
		body, err := a.body(c)
		if err != nil {
			return 0, err
		}
		switch id := string(c.id[:]); {
		case id == "avih" && len(body) >= 4:
			frame = 1e6 / float64(binary.LittleEndian.Uint32(body))
		case id == "strh" && len(body) >= 28:
			stream++
			kind = string(body[:4])
			if kind == "vids" && a.tag == "" {
				rate = float64(binary.LittleEndian.Uint32(body[24:])) / float64(binary.LittleEndian.Uint32(body[20:]))
			}
		case id == "strf" && len(body) >= 20 && kind == "vids" && a.tag == "":
			a.tag, codec = fmt.Sprintf("%02d", stream), string(body[16:20])
			if !isMotionJPEG(codec) {
				return 0, a.fault(c.offset, "the pictures are %q, not MJPG: convert them (ffmpeg -i IN -c:v mjpeg -q:v 3 -an OUT.avi)", codec)
			}
		case string(c.list[:]) == "movi":
			a.movie = a.at
			if a.tag == "" {
				return 0, a.fault(c.offset, "no stream of pictures in its headers")
			}
			return firstRate(rate, frame), nil
		}
	}
}

// body reads the start of a header chunk.
func (a *avi) body(c chunk) ([]byte, error) {
	id := string(c.id[:])
	if id != "avih" && id != "strh" && id != "strf" {
		return nil, nil
	}
	b := make([]byte, min(c.size, 64, a.size-c.offset))
	if n, err := a.r.ReadAt(b, c.offset); n < len(b) {
		return nil, a.fault(c.offset, "%w", err)
	}
	return b, nil
}

func isMotionJPEG(codec string) bool {
	switch strings.ToUpper(codec) {
	case "MJPG", "JPEG", "AVRN", "DMB1":
		return true
	}
	return false
}

// firstRate is the first that a camera could have; NaN and Inf from a division by zero are none.
func firstRate(rates ...float64) float64 {
	for _, rate := range rates {
		if rate > 0.001 && rate <= 1000 {
			return rate
		}
	}
	return 0
}

// next finds the next picture chunk. Damage in the structure is told once, then the file has ended.
func (a *avi) next() (span, error) {
	for !a.done {
		c, err := a.chunk()
		if err != nil {
			a.done = true
			if errors.Is(err, errNoChunk) {
				err = &Damage{Garbage, err}
			}
			return span{}, err
		}
		if !a.isPicture(c) {
			continue
		}
		switch {
		case c.size == 0:
			return span{}, errNoPicture
		case c.offset+c.size > a.size:
			a.done = true
			return span{}, &Damage{Truncated, a.fault(c.offset, "the file ends after %d of the picture's %d bytes", a.size-c.offset, c.size)}
		case c.size > maxPicture:
			return span{}, &Damage{Garbage, a.fault(c.offset, "a picture of %d bytes", c.size)}
		}
		return c.span, nil
	}
	return span{}, io.EOF
}

func (a *avi) isPicture(c chunk) bool {
	return c.id[0] == a.tag[0] && c.id[1] == a.tag[1] && c.id[2] == 'd' && (c.id[3] == 'c' || c.id[3] == 'b')
}
