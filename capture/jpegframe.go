package capture

import (
	"bytes"
	"errors"
	"image"

	"sharpend/jpeg"
)

var jpegEnd = []byte{0xFF, 0xD9}

// newDecoder decodes fast: the difference, 51 dB below the picture, drowns in a camera's noise.
func newDecoder() (*jpeg.Decoder, error) {
	d, err := jpeg.NewDecoder()
	if err != nil {
		return nil, err
	}
	d.Fast = true
	return d, nil
}

// inspectJPEG finds the damage that shows without decoding. Zeros after the end are common padding; checkEnd
// wants the end marker before them.
func inspectJPEG(data []byte, checkEnd bool) *Damage {
	if len(data) < 4 || data[0] != 0xFF || data[1] != 0xD8 {
		return damaged(Garbage, "it does not begin as a JPEG does")
	}
	if data = bytes.TrimRight(data, "\x00"); checkEnd && !bytes.Contains(data[max(0, len(data)-64):], jpegEnd) {
		return damaged(Truncated, "the JPEG has no end marker after %d bytes", len(data))
	}
	return nil
}

// decodeJPEG decodes and sorts the decoder's complaints into kinds of Damage.
func decodeJPEG(d *jpeg.Decoder, data []byte, dst *image.YCbCr) error {
	err := d.Decode(data, dst)
	switch {
	case errors.Is(err, jpeg.ErrSize):
		return &Damage{WrongSize, err}
	case errors.Is(err, jpeg.ErrDamaged), errors.Is(err, jpeg.ErrUnsupported):
		if seen := inspectJPEG(data, true); seen != nil {
			return &Damage{seen.Kind, err}
		}
		return &Damage{Garbage, err}
	}
	return err
}
