package capture

import (
	"bytes"
	"errors"
	"io"
)

// stream finds the pictures in JPEGs written one behind the other, with or without something in between (the headers
// of a multipart stream). It follows the marker segments (ITU-T T.81, annex B), so that the thumbnail in an EXIF
// segment is no picture, and FFD9 there is no end.
type stream struct {
	r      io.ReaderAt
	window []byte // the bytes read ahead, at offset
	buf    []byte
	offset int64
	path   string
}

func newStream(r io.ReaderAt, path string) *clip {
	s := &stream{r: r, buf: make([]byte, 64<<10), path: path}
	return &clip{pixel: "MJPG", next: s.next, load: loadFrom(r, path), rewind: s.rewind, close: func() error { return nil }}
}

func (s *stream) rewind() { s.window, s.offset = nil, 0 }

// fill makes at least n bytes (few) visible in the window, or returns io.EOF.
func (s *stream) fill(n int) error {
	if len(s.window) >= n {
		return nil
	}
	read, err := s.r.ReadAt(s.buf, s.offset)
	s.window = s.buf[:read]
	if read >= n {
		return nil
	}
	return err
}

func (s *stream) skip(n int) {
	s.offset += int64(n)
	s.window = s.window[min(n, len(s.window)):]
}

// next is the next picture: from its SOI to behind its EOI, to the next SOI or to where the segments make no sense.
func (s *stream) next() (span, error) {
	if err := s.toStart(); err != nil {
		return span{}, err
	}
	start := s.offset
	s.skip(2)
	var err error
	for whole := false; !whole && err == nil && s.offset-start <= maxPicture; {
		whole, err = s.segment()
	}
	if err != nil && err != io.EOF && err != errNoSegment {
		return span{}, err
	}
	return span{start, s.offset - start}, nil
}

// errNoSegment ends a picture at a byte that cannot be there.
var errNoSegment = errors.New("no marker segment")

// toStart goes to the next FFD8FF.
func (s *stream) toStart() error {
	for {
		if err := s.fill(3); err != nil {
			return err
		}
		i := bytes.Index(s.window, []byte{0xff, 0xd8, 0xff})
		if i >= 0 {
			s.skip(i)
			return nil
		}
		s.skip(len(s.window) - 2)
	}
}

// segment passes one marker segment, and behind a start of scan the picture data too; whole: it was the end of image.
func (s *stream) segment() (whole bool, err error) {
	if err := s.fill(2); err != nil {
		s.skip(len(s.window))
		return false, err
	}
	marker := s.window[1]
	switch {
	case s.window[0] != 0xff, marker == 0xd8, marker == 0:
		return false, errNoSegment
	case marker == 0xff: // fill byte
		s.skip(1)
		return false, nil
	case marker == 0xd9:
		s.skip(2)
		return true, nil
	case marker&^7 == 0xd0, marker == 1: // RSTn and TEM stand alone
		s.skip(2)
		return false, nil
	}
	if err := s.fill(4); err != nil {
		s.skip(len(s.window))
		return false, err
	}
	length := int(s.window[2])<<8 | int(s.window[3])
	if length < 2 {
		return false, errNoSegment
	}
	s.skip(2 + length)
	if marker == 0xda {
		return false, s.data()
	}
	return false, nil
}

// data passes entropy-coded data up to the marker behind it.
func (s *stream) data() error {
	for {
		if err := s.fill(2); err != nil {
			s.skip(len(s.window))
			return err
		}
		i := bytes.IndexByte(s.window, 0xff)
		switch {
		case i < 0:
			s.skip(len(s.window))
		case i+1 == len(s.window):
			s.skip(i)
		case s.window[i+1] == 0 || s.window[i+1]&^7 == 0xd0: // a stuffed FF, a restart
			s.skip(i + 2)
		default:
			s.skip(i)
			return nil
		}
	}
}
