package tensorrt

import (
	"fmt"
	"image"
	"runtime"

	ort "github.com/yalue/onnxruntime_go"

	"sharpend/infer"
)

// tensor keeps its C value at hand: the binding's GetInternals allocates at each call.
type tensor struct {
	ort.Value
	internals *ort.ValueInternalData
}

func (t tensor) GetInternals() *ort.ValueInternalData { return t.internals }

// tensors are ONNX Runtime values over Go memory, in the order of some ports.
// The C side keeps the addresses from call to call, which cgo allows for pinned
// memory only, and neither session nor binding keeps the memory alive: so the
// pins last from the first add to close.
type tensors struct {
	pins   runtime.Pinner
	values []ort.Value
}

// element is the Go side of u8 and f32.
type element interface{ uint8 | float32 }

func add[T element](t *tensors, data []T, dims ...int64) error {
	t.pins.Pin(&data[0])
	value, err := ort.NewTensor(ort.NewShape(dims...), data)
	if err != nil {
		return err
	}
	t.values = append(t.values, tensor{value, value.GetInternals()})
	return nil
}

// addPlanes adds Y, Cb and Cr of a padded size in pixels.
func addPlanes[T element](t *tensors, y, cb, cr []T, size image.Point) error {
	w, h := int64(size.X), int64(size.Y)
	if err := add(t, y, 1, 1, h, w); err != nil {
		return err
	}
	if err := add(t, cb, 1, 1, h/2, w/2); err != nil {
		return err
	}
	return add(t, cr, 1, 1, h/2, w/2)
}

func addPicture(t *tensors, img *image.YCbCr, size image.Point) error {
	return addPlanes(t, img.Y, img.Cb, img.Cr, size)
}

// addFlat adds a flat I420 slice.
func addFlat(t *tensors, data []float32, size image.Point) error {
	luma := size.X * size.Y
	return addPlanes(t, data[:luma], data[luma:luma+luma/4], data[luma+luma/4:], size)
}

func (t *tensors) close() {
	for _, v := range t.values {
		v.Destroy() // never fails
	}
	t.values = nil
	t.pins.Unpin()
}

// Padded is the size of the planes in memory for a picture of w x h.
func (m *Model) Padded(w, h int) (image.Point, error) {
	const most = 16384
	if w < 1 || h < 1 || w > most || h > most {
		return image.Point{}, fmt.Errorf("%s: a picture of %dx%d: each side must be 1 to %d pixels", m.Path, w, h, most)
	}
	up := func(n int) int { return (n + m.Multiple - 1) / m.Multiple * m.Multiple }
	return image.Pt(up(w), up(h)), nil
}

// checkLayout refuses a picture whose memory is not what a session of this size reads and writes.
func checkLayout(img *image.YCbCr, size image.Point) error {
	chroma := size.X * size.Y / 4
	if img.SubsampleRatio != image.YCbCrSubsampleRatio420 || img.YStride != size.X || img.CStride != size.X/2 ||
		len(img.Y) != size.X*size.Y || len(img.Cb) != chroma || len(img.Cr) != chroma {
		w, h := infer.PaddedSize(img)
		return fmt.Errorf("expected 4:2:0 planes padded to %dx%d, found %v planes of %dx%d (chroma stride %d)",
			size.X, size.Y, img.SubsampleRatio, w, h, img.CStride)
	}
	return nil
}
