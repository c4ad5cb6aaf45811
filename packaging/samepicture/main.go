// Samepicture cuts small test pictures and compares what two machines made of them:
//
//	samepicture crop IN OUT.png WIDTH HEIGHT   the middle of a picture
//	samepicture compare LEVELS A B             fails where A and B differ by more grey levels
//	samepicture differ A B                     fails where they do not differ at all
package main

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg"
	"image/png"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "samepicture:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 5 && args[0] == "crop":
		return crop(args[1], args[2], args[3], args[4])
	case len(args) == 4 && args[0] == "compare":
		return compare(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "differ":
		if largest, _, err := difference(args[1], args[2]); err != nil || largest > 0 {
			return err
		}
		return fmt.Errorf("%s and %s are the same picture: nothing was done to it", args[1], args[2])
	}
	return errors.New("usage: crop IN OUT WIDTH HEIGHT, compare LEVELS A B, or differ A B")
}

func crop(in, out, width, height string) error {
	w, err1 := strconv.Atoi(width)
	h, err2 := strconv.Atoi(height)
	picture, err3 := load(in)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	all := picture.Rect
	x, y := (all.Dx()-w)/2, (all.Dy()-h)/2
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer file.Close()
	return png.Encode(file, picture.SubImage(image.Rect(x, y, x+w, y+h)))
}

func compare(levels, a, b string) error {
	limit, err := strconv.Atoi(levels)
	if err != nil {
		return err
	}
	largest, different, err := difference(a, b)
	if err != nil {
		return err
	}
	fmt.Printf("largest difference %d grey levels, %.3f %% of the values differ\n", largest, 100*different)
	if largest > limit {
		return fmt.Errorf("%s and %s differ by %d grey levels, and %d are allowed", a, b, largest, limit)
	}
	return nil
}

// difference of two pictures: the largest, in grey levels, and the share of values that differ.
func difference(a, b string) (largest int, share float64, err error) {
	p, err1 := load(a)
	q, err2 := load(b)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, err
	}
	if p.Rect != q.Rect {
		return 0, 0, fmt.Errorf("%s is %v and %s is %v", a, p.Rect, b, q.Rect)
	}
	n := 0
	for i, v := range p.Pix {
		d := max(int(v)-int(q.Pix[i]), int(q.Pix[i])-int(v))
		largest = max(largest, d)
		if d > 0 {
			n++
		}
	}
	return largest, float64(n) / float64(len(p.Pix)), nil
}

// load reads a picture as RGB with the origin at zero.
func load(path string) (*image.NRGBA, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	copied := image.NewNRGBA(image.Rectangle{Max: picture.Bounds().Size()})
	draw.Draw(copied, copied.Rect, picture, picture.Bounds().Min, draw.Src)
	return copied, nil
}
